import type { RootFilesystem } from '../../formats/rootfs/superblock.ts';
import type { IsoReport } from './iso-report.ts';

/** {@link IsoReport} as lines for people, without a trailing newline. */
export function renderIsoReport(report: IsoReport): string {
  const rows: [string, string][] = [
    ['ISO', report.path],
    ['Size', bytes(report.size)],
    ['Volume', report.volumeId],
    ['System', report.description ?? 'unknown'],
    ['Architecture', architecture(report)],
    ['Kernel args', report.kargs ? report.kargs.kargs : 'unknown'],
    ...kargsOrigin(report),
    ...report.files.map(({ role, path, offset, length }): [string, string] => [
      { kernel: 'Kernel', initrd: 'Initrd', rootfs: 'Root archive' }[role],
      `${path}, ${bytes(length)} at ${offset}`,
    ]),
    ['Ignition', ignition(report)],
    ['Root image', rootImage(report)],
    ...report.osmets.flatMap((osmet): [string, string][] => [
      ['Osmet', `${osmet.name}, ${bytes(osmet.length)} at ${osmet.offset}`],
      [
        '',
        `${osmet.variant}: disk of ${bytes(osmet.diskSize)}, ${osmet.sectorSize}-byte sectors, ${percent(osmet.mappedShare)} mapped to objects (${osmet.mappings} extents)`,
      ],
      ['', `sha256 ${osmet.checksum}, packed by coreos-installer ${osmet.appVersion}`],
    ]),
    ['Makes', makes(report)],
    ...report.lacks.flatMap(({ code, message, hint }): [string, string][] => [
      ['Lacks', `${message} [${code}]`],
      ...(hint ? [['', hint] as [string, string]] : []),
    ]),
  ];
  const width = Math.max(...rows.map(([label]) => label.length)) + 2;
  return rows.map(([label, value]) => label.padEnd(width) + printable(value)).join('\n');
}

function architecture({ arch, archSource }: IsoReport): string {
  if (arch === undefined) return 'unknown';
  return archSource === 'osmet' ? arch : `${arch} (by its ${archSource}; no osmet to confirm it)`;
}

function kargsOrigin({ kargs }: IsoReport): [string, string][] {
  if (kargs === undefined) return [];
  const changed = kargs.default !== undefined && kargs.default.trim() !== kargs.kargs;
  const rows: [string, string][] = [['', `from ${kargs.source}`]];
  if (changed) rows.push(['', `customized; the release has: ${kargs.default}`]);
  return rows;
}

function ignition({ ignition: area }: IsoReport): string {
  if (area === undefined) return 'no embed area';
  const state = area.empty ? 'empty, as released' : 'holds a config: this ISO was customized';
  return `${area.path}, ${bytes(area.length)} at ${area.offset}, ${state}`;
}

function rootImage({ rootImage: image }: IsoReport): string {
  if (image === undefined) return 'none';
  const details = image.filesystem ? filesystem(image.filesystem) : 'of an unknown kind';
  return `${image.path}, ${bytes(image.length)} at ${image.offset}, ${details}`;
}

function filesystem(fs: RootFilesystem): string {
  const compression =
    typeof fs.compression === 'string' ? fs.compression : fs.compression.join('+');
  return `${fs.kind}, ${compression || 'not compressed'}, ${fs.blockSize}-byte blocks, ${fs.inodes} inodes`;
}

function makes({ osmets, lacks }: IsoReport): string {
  return lacks.length === 0 ? osmets.map(({ variant }) => variant).join(', ') : 'nothing';
}

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB'];

function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const power = Math.min(Math.floor(Math.log2(count) / 10), UNITS.length);
  return `${(count / 1024 ** power).toFixed(power === 1 ? 0 : 2)} ${UNITS[power - 1]}`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** ISO contents are untrusted: no control sequence may reach the terminal. */
function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}]/gu,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
