import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { golden } from '../golden/load.ts';
import { writeFootedVmdk } from '../golden/vmdk/footed.ts';
import { nativeIso } from './native-iso.ts';
import { sha256Of } from './synthetic-bundle.ts';

export interface NativeRelease {
  readonly folder: string;
  readonly streamPath: string;
  /** Targets, by the names under which they are made. */
  readonly targets: ReadonlyMap<string, Buffer>;
}

const SECTOR = 2048;

/**
 * A release around a live ISO that the native engine can unpack: the golden one, with a root image and osmets of
 * small disks, because the fault harness makes them thousands of times. It holds metal as .xz, `qemu` as .gz, `aws` as a VMDK in .gz, and the kernel of the ISO.
 */
export async function writeNativeRelease(folder: string): Promise<NativeRelease> {
  await mkdir(folder, { recursive: true });
  const { iso: parts, disks } = await nativeIso(folder, { compact: true });
  const bytes = await readFile(parts.path);
  await rm(parts.path);
  const iso = withRootfs(
    golden('iso/live.iso'),
    cpio([
      ['root.squashfs', bytes.subarray(0, parts.rootImage.length)],
      ['etc/coreos-live-rootfs', Buffer.from('1.2.3\n')],
      ...parts.osmets.map(
        ({ name, offset, length }) => [name, bytes.subarray(offset, offset + length)] as const,
      ),
    ]),
  );
  const metal = disks.get('metal') ?? Buffer.alloc(0);
  const edited = (text: string) => {
    const copy = Buffer.from(metal);
    copy.write(text, 1_100_000);
    return copy;
  };
  const kernel = golden('iso/live.iso').subarray(-8192);
  const vmdk = await writeFootedVmdk(edited('ignition.platform.id=aws'), 'ascending', { level: 1 });
  const targets = new Map([
    ['live.iso', iso],
    ['metal.raw', metal],
    ['qemu.raw', edited('ignition.platform.id=qemu')],
    ['aws.vmdk', vmdk],
    ['live-kernel', kernel],
  ]);
  const artifacts: Record<string, { release: string; formats: Record<string, unknown> }> = {};
  const add = async (platform: string, format: string, name: string, suffix = '') => {
    const target = targets.get(name) ?? Buffer.alloc(0);
    const released = await compress(target, suffix);
    await writeFile(join(folder, name + suffix), released);
    artifacts[platform] ??= { release: '42.1', formats: {} };
    artifacts[platform].formats[format] = {
      [format === 'pxe' ? 'kernel' : 'disk']: {
        location: `https://example.com/${name}${suffix}`,
        sha256: sha256Of(released),
        ...(suffix === '' ? {} : { 'uncompressed-sha256': sha256Of(target) }),
      },
    };
  };
  await add('metal', 'iso', 'live.iso');
  await add('metal', 'raw.xz', 'metal.raw', '.xz');
  await add('metal', 'pxe', 'live-kernel');
  await add('qemu', 'raw.gz', 'qemu.raw', '.gz');
  await add('aws', 'vmdk.gz', 'aws.vmdk', '.gz');
  const streamPath = join(folder, 'stream.json');
  const architectures = { x86_64: { artifacts } };
  await writeFile(streamPath, JSON.stringify({ stream: 'test', architectures }));
  return { folder, streamPath, targets };
}

/** Puts another rootfs.img at the end of an ISO (ECMA-119 9.1: each number is recorded in both byte orders). */
function withRootfs(iso: Buffer, rootfs: Buffer): Buffer {
  const padding = Buffer.alloc((SECTOR - (rootfs.length % SECTOR)) % SECTOR);
  const whole = Buffer.concat([iso, rootfs, padding]);
  const both = (value: number, at: number) => {
    whole.writeUInt32LE(value, at);
    whole.writeUInt32BE(value, at + 4);
  };
  const name = whole.indexOf('ROOTFS.IMG;1');
  if (name === -1 || iso.length % SECTOR !== 0) throw new Error('the golden ISO has no rootfs.img');
  both(iso.length / SECTOR, name - 33 + 2);
  both(rootfs.length, name - 33 + 10);
  both(whole.length / SECTOR, 16 * SECTOR + 80);
  return whole;
}

/** A newc archive, cpio(5). */
function cpio(members: readonly (readonly [string, Buffer])[]): Buffer {
  const aligned = (bytes: Buffer) =>
    Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
  const member = (name: string, mode: number, body: Buffer) => {
    const fields = [0, mode, 0, 0, 1, 0, body.length, 0, 0, 0, 0, name.length + 1, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
    return Buffer.concat([aligned(Buffer.from(`${header}${name}\0`)), aligned(body)]);
  };
  return Buffer.concat([
    ...members.map(([name, body]) => member(name, 0o100644, body)),
    member('TRAILER!!!', 0, Buffer.alloc(0)),
  ]);
}

async function compress(target: Buffer, suffix: string): Promise<Buffer> {
  const tool = suffix === '.gz' ? 'gzip' : 'xz';
  if (suffix === '') return target;
  const { stdout } = await execa(tool, [tool === 'gzip' ? '-1' : '-0', '-c'], {
    input: target,
    encoding: 'buffer',
  });
  return Buffer.from(stdout);
}
