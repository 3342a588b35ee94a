import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { execa } from 'execa';
import type { MetalEngine } from '../../src/engine/engine.ts';
import { memorySource } from '../../src/io/memory-source.ts';
import { readLiveIso } from '../../src/iso/open.ts';
import { golden } from '../golden/load.ts';
import { noise, sha256Of } from './synthetic-bundle.ts';

export interface SyntheticRelease {
  readonly folder: string;
  readonly streamPath: string;
  /** Stands in for a boot of a quarter of an hour: writes the disk that the ISO's osmet promises. */
  readonly engine: MetalEngine;
  /** Edits the stream JSON in place. */
  edit(change: (artifacts: Artifacts) => void): Promise<void>;
}

export interface StreamFileJson {
  location: string;
  sha256: string;
  'uncompressed-sha256'?: string;
}
export type Artifacts = Record<
  string,
  { release: string; formats: Record<string, Record<string, StreamFileJson>> }
>;

/**
 * A release folder around the golden live ISO, whose osmet is made to promise a disk of ours. metal as
 * .xz, `qemu` as .gz, `gcp` attested by its compressed bytes only, `nutanix` served as it is.
 */
export async function writeSyntheticRelease(
  folder: string,
  { regenerates }: { readonly regenerates?: (disk: Buffer) => Buffer } = {},
): Promise<SyntheticRelease> {
  await mkdir(folder, { recursive: true });
  const iso = golden('iso/live.iso');
  const { osmets, kernel } = await readLiveIso(memorySource(iso, 'live.iso'));
  const osmet = osmets.find(({ variant }) => variant === 'metal');
  if (osmet === undefined) throw new Error('the golden ISO has a metal osmet');
  const disk = Buffer.alloc(osmet.diskSize);
  disk.set(noise(400_000, 'disk'), 1 << 20);
  for (const { variant, checksum } of osmets) {
    // A second osmet (metal4k) promises the same disk: enough for what is tested here.
    const at = iso.indexOf(Buffer.from(checksum, 'hex'));
    if (at === -1) throw new Error(`no checksum of ${variant} in the ISO`);
    iso.set(Buffer.from(sha256Of(disk), 'hex'), at);
  }
  const edited = (text: string) => {
    const copy = Buffer.from(disk);
    copy.write(text, 1_100_000);
    return copy;
  };
  const artifacts: Artifacts = {};
  const add = async (
    platform: string,
    format: string,
    role: string,
    name: string,
    target: Buffer,
    attested = true,
  ) => {
    const released = await compress(name, target);
    await writeFile(join(folder, name), released);
    artifacts[platform] ??= { release: '42.1', formats: {} };
    const file: StreamFileJson = {
      location: `https://example.com/x86_64/${name}`,
      sha256: sha256Of(released),
    };
    if (attested && released !== target) file['uncompressed-sha256'] = sha256Of(target);
    const formats = artifacts[platform].formats;
    formats[format] = { ...formats[format], [role]: file };
  };
  await add('metal', 'iso', 'disk', 'x-live.iso', iso);
  await add('metal', 'raw.xz', 'disk', 'x-metal.raw.xz', disk);
  const kernelBytes = iso.subarray(kernel.offset, kernel.offset + kernel.length);
  await add('metal', 'pxe', 'kernel', 'x-live-kernel', kernelBytes);
  await add('qemu', 'raw.gz', 'disk', 'x-qemu.raw.gz', edited('ignition.platform.id=qemu'));
  await add('gcp', 'tar.gz', 'disk', 'x-gcp.tar.gz', edited('gcp'), false);
  await add('nutanix', 'qcow2', 'disk', 'x-nutanix.qcow2', edited('QFI'));

  const streamPath = join(folder, 'stream.json');
  const save = () =>
    writeFile(
      streamPath,
      JSON.stringify({ stream: 'test', architectures: { x86_64: { artifacts } } }),
    );
  await save();
  return {
    folder,
    streamPath,
    engine: writerEngine(regenerates ? regenerates(disk) : disk),
    async edit(change) {
      change(artifacts);
      await save();
    },
  };
}

function writerEngine(disk: Buffer): MetalEngine {
  return {
    name: 'qemu',
    async regenerate({ disks }) {
      for (const { output } of disks) {
        await using handle = await open(output, 'wx');
        await handle.write(disk);
      }
      return { engine: 'qemu', detail: 'none: bytes at hand', seconds: {} };
    },
  };
}

async function compress(name: string, target: Buffer): Promise<Buffer> {
  if (name.endsWith('.gz')) return gzipSync(target, { level: 1 });
  if (!name.endsWith('.xz')) return target;
  const { stdout } = await execa('xz', ['-0', '-c'], { input: target, encoding: 'buffer' });
  return Buffer.from(stdout);
}
