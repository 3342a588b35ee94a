import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { execa } from 'execa';
import { pack } from 'tar-stream';
import type { Arch } from '../../src/core/arch.ts';
import { memorySource } from '../../src/core/io/memory-source.ts';
import type { MetalEngine } from '../../src/engine/engine.ts';
import { readLiveIso } from '../../src/formats/iso/open.ts';
import { golden } from '../golden/load.ts';
import { writeFootedVmdk } from '../golden/vmdk/footed.ts';
import { noise, sha256Of } from './synthetic-bundle.ts';

export interface SyntheticRelease {
  readonly folder: string;
  readonly streamPath: string;
  /** Stands in for a boot, which takes minutes: writes the disks that the ISO's osmets describe. */
  readonly engine: MetalEngine;
  /** Edits an architecture of the stream JSON in place. */
  edit(change: (artifacts: Artifacts) => void, arch?: Arch): Promise<void>;
}

export interface SyntheticReleaseOptions {
  /** The engine's disk, if it is to differ from the one that the osmet describes. */
  readonly regenerates?: (disk: Buffer) => Buffer;
  readonly arches?: readonly ('x86_64' | 's390x')[];
  /**
   * Add `aws`, a VMDK in .gz, and `vmware`, an OVA with a VMDK, both of slightly changed disks. Also make
   * `gcp` with the real gzip, whose bytes differ from Node's.
   */
  readonly containers?: boolean;
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
 * A release folder around the golden live ISO, whose osmet is changed to describe our own disk. It holds metal as
 * .xz, `qemu` as .gz, `gcp` attested only by its compressed bytes, and, uncompressed, a platform that the other
 * architecture lacks: `nutanix` or `ibmcloud`. File names begin with `x-` or `z-`.
 */
export async function writeSyntheticRelease(
  folder: string,
  {
    regenerates = (disk) => disk,
    arches = ['x86_64'],
    containers = false,
  }: SyntheticReleaseOptions = {},
): Promise<SyntheticRelease> {
  await mkdir(folder, { recursive: true });
  const disks = new Map<Arch, Buffer>();
  const architectures: Partial<Record<Arch, { artifacts: Artifacts }>> = {};
  for (const arch of arches) {
    const { disk, artifacts } = await writeArchitecture(folder, arch, containers);
    disks.set(arch, regenerates(disk));
    architectures[arch] = { artifacts };
  }
  const streamPath = join(folder, 'stream.json');
  const save = () => writeFile(streamPath, JSON.stringify({ stream: 'test', architectures }));
  await save();
  return {
    folder,
    streamPath,
    engine: writerEngine(disks),
    async edit(change, arch = 'x86_64') {
      change(architectures[arch]?.artifacts ?? {});
      await save();
    },
  };
}

async function writeArchitecture(
  folder: string,
  arch: 'x86_64' | 's390x',
  containers: boolean,
): Promise<{ disk: Buffer; artifacts: Artifacts }> {
  const iso = golden('iso/live.iso');
  if (arch === 's390x') makeS390x(iso);
  const { osmets, kernel } = await readLiveIso(memorySource(iso, 'live.iso'));
  const osmet = osmets.find(({ variant }) => variant === 'metal');
  if (osmet === undefined) throw new Error('the golden ISO has a metal osmet');
  const disk = Buffer.alloc(osmet.diskSize);
  disk.set(noise(400_000, arch), 1 << 20);
  for (const { variant, checksum } of osmets) {
    // A second osmet (metal4k) describes the same disk, which is enough for these tests.
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
    suffix: string,
    target: Buffer,
    attested = true,
    realGzip = false,
  ) => {
    const name = `${arch === 'x86_64' ? 'x' : 'z'}-${suffix}`;
    const released = realGzip ? await gzip(target) : await compress(name, target);
    await writeFile(join(folder, name), released);
    artifacts[platform] ??= { release: '42.1', formats: {} };
    const file: StreamFileJson = {
      location: `https://example.com/${arch}/${name}`,
      sha256: sha256Of(released),
    };
    if (attested && released !== target) file['uncompressed-sha256'] = sha256Of(target);
    const formats = artifacts[platform].formats;
    formats[format] = { ...formats[format], [role]: file };
  };
  await add('metal', 'iso', 'disk', 'live.iso', iso);
  await add('metal', 'raw.xz', 'disk', 'metal.raw.xz', disk);
  const kernelBytes = iso.subarray(kernel.offset, kernel.offset + kernel.length);
  await add('metal', 'pxe', 'kernel', 'live-kernel', kernelBytes);
  await add('qemu', 'raw.gz', 'disk', 'qemu.raw.gz', edited(`ignition.platform.id=qemu ${arch}`));
  await add('gcp', 'tar.gz', 'disk', 'gcp.tar.gz', edited('gcp'), false, containers);
  const own = arch === 'x86_64' ? 'nutanix' : 'ibmcloud';
  await add(own, 'qcow2', 'disk', `${own}.qcow2`, edited('QFI'));
  if (containers) {
    const vmdk = await writeFootedVmdk(edited('ignition.platform.id=aws'), 'ascending');
    await add('aws', 'vmdk.gz', 'disk', 'aws.vmdk.gz', vmdk);
    await add('vmware', 'ova', 'disk', 'vmware.ova', await ova(vmdk));
  }
  return { disk, artifacts };
}

/** A tar of an OVF and a VMDK. */
async function ova(vmdk: Buffer): Promise<Buffer> {
  const tar = pack();
  tar.entry({ name: 'coreos.ovf', mtime: new Date(0) }, '<Envelope/>');
  tar.entry({ name: 'disk.vmdk', mtime: new Date(0) }, vmdk);
  tar.finalize();
  const pieces: Uint8Array[] = [];
  for await (const piece of tar as AsyncIterable<Uint8Array>) pieces.push(piece);
  return Buffer.concat(pieces);
}

/**
 * Turns the golden ISO into one for s390x in place: the architecture in each osmet's header becomes a letter
 * shorter and the description before it a letter longer (a bincode string begins with its length), and
 * the kernel loses the magic bytes of x86.
 */
function makeS390x(iso: Buffer): void {
  const strings = (...texts: string[]) =>
    Buffer.concat(texts.flatMap((text) => [Buffer.of(text.length), Buffer.from(text)]));
  const replace = (from: Buffer, to: Buffer) => {
    let at = iso.indexOf(from);
    if (at === -1) throw new Error(`the golden ISO has no ${from.toString('latin1')}`);
    for (; at !== -1; at = iso.indexOf(from, at)) iso.set(to, at);
  };
  replace(strings('Golden CoreOS 1.2.3', 'x86_64'), strings('Golden CoreOS 1.2.3+', 's390x'));
  replace(Buffer.from('HdrS'), Buffer.alloc(4));
}

function writerEngine(made: ReadonlyMap<Arch, Buffer>): MetalEngine {
  return {
    name: 'qemu',
    async regenerate({ iso, disks }) {
      for (const { output } of disks) {
        await using handle = await open(output, 'wx');
        await handle.write(made.get(iso.arch) ?? Buffer.alloc(0));
      }
      return { engine: 'qemu', detail: 'none: bytes at hand', seconds: {} };
    },
  };
}

async function gzip(target: Buffer): Promise<Buffer> {
  const { stdout } = await execa('gzip', ['-9', '-n', '-c'], { input: target, encoding: 'buffer' });
  return Buffer.from(stdout);
}

async function compress(name: string, target: Buffer): Promise<Buffer> {
  if (name.endsWith('.gz')) return gzipSync(target, { level: 1 });
  if (!name.endsWith('.xz')) return target;
  const { stdout } = await execa('xz', ['-0', '-c'], { input: target, encoding: 'buffer' });
  return Buffer.from(stdout);
}
