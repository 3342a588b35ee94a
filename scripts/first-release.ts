/**
 * Estimates downloads, time and disk of a first bundle of a real release, for docs/first-release.md:
 *
 *     node scripts/first-release.ts STREAM_JSON [ARCH]
 *
 * Streams have no sizes. Each file counts as many bytes as the same format in the metadata of RHCOS 4.10, which
 * has sizes, or in a release of real size that was built with the fixture builder and more packages.
 */
import { parseArch } from '../src/core/arch.ts';
import { readStream } from '../src/release/stream/read.ts';
import { estimate } from '../src/verbs/estimate/estimate.ts';

/** Bytes of a released file of x86_64. */
const SIZES: Readonly<Record<string, number>> = {
  // RHCOS 410.84.202110140201-0, by format.
  'vmdk.gz': 1_032_649_654,
  'vhd.gz': 1_032_651_087,
  'tar.gz': 1_012_929_440,
  'qcow2.gz': 1_019_698_076,
  'raw.gz': 1_020_303_556,
  ova: 1_053_880_320,
  // The release of real size.
  'vmdk.xz': 1_040_000_000,
  'vhd.xz': 870_000_000,
  'raw.xz': 860_000_000,
  'qcow2.xz': 860_000_000,
  qcow2: 1_110_000_000,
  iso: 1_010_726_912,
  // Kernel, initramfs and root file system together; they are the ISO's.
  pxe: 1_000_000_000,
  // No size is known: these are the sizes of a qcow2 compressed by gzip, and of a VHDX in a zip.
  ociarchive: 1_019_698_076,
  'vhdx.zip': 1_032_651_087,
};

/**
 * Bytes of released files that dehydrate covers in a second, verification included: a little less than in
 * docs/measurements.md, "A release of real size", where the ISO's own files count too.
 */
const RATE = 11e6;
/** Disk space for both disks of that release, and for the largest image while it is taken apart. */
const [DISKS, SCRATCH] = [2 * 3.1e9, 4e9];
const GIGABIT = 1e9 / 8;

const [path = '', name = 'x86_64'] = process.argv.slice(2);
const { stream } = await readStream(path);
const [preview] = (await estimate(stream, { arches: [parseArch(name)] })).architectures;
if (preview === undefined) throw new Error(`the stream has no ${name}`);

const files = preview.artifacts.filter(({ fileAt }) => fileAt === 'fetch');
const formats = new Map<string, number>();
for (const { platform, format } of files) {
  const size = SIZES[format];
  if (size === undefined) throw new Error(`the size of a ${format} file is not known`);
  formats.set(`${platform} ${format}`, size); // the three files of PXE are one format
}
const bytes = [...formats.values()].reduce((sum, size) => sum + size, 0);
const gigabytes = (size: number) => `${Math.round(size / 1e9)} GB`;
const minutes = (seconds: number) => `${Math.round(seconds / 60)} min`;
const disk = bytes + (SIZES.iso ?? 0) + DISKS + SCRATCH;
console.log(
  [
    ...[stream.stream, name, `${preview.covered} of ${preview.artifacts.length}`, files.length],
    ...[gigabytes(bytes), minutes(bytes / GIGABIT), minutes(bytes / RATE), gigabytes(disk)],
  ].join(' | '),
);
