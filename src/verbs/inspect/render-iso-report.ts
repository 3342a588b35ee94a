import { formatBytes, formatShare } from '../../core/text/bytes.ts';
import { printableLine } from '../../core/text/printable.ts';
import type { RootFilesystem } from '../../formats/rootfs/superblock.ts';
import type { IsoReport } from './iso-report.ts';

/** {@link IsoReport} as lines for people, without a trailing newline. */
export function renderIsoReport(report: IsoReport): string {
  const rows: [string, string][] = [
    ['ISO', report.path],
    ['Size', formatBytes(report.size)],
    ['Volume', report.volumeId],
    ['System', report.description ?? 'unknown'],
    ['Architecture', architecture(report)],
    ['Kernel args', report.kargs ? report.kargs.kargs : 'unknown'],
    ...kargsOrigin(report),
    ...report.files.map(({ role, path, offset, length }): [string, string] => [
      { kernel: 'Kernel', initrd: 'Initrd', rootfs: 'Root archive' }[role],
      `${path}, ${formatBytes(length)} at ${offset}`,
    ]),
    ['Ignition', ignition(report)],
    ['Root image', rootImage(report)],
    ...report.osmets.flatMap((osmet): [string, string][] => [
      ['Osmet', `${osmet.name}, ${formatBytes(osmet.length)} at ${osmet.offset}`],
      [
        '',
        `${osmet.variant}: disk of ${formatBytes(osmet.diskSize)}, ${osmet.sectorSize}-byte sectors, ${formatShare(osmet.mappedShare, 1)} mapped to objects (${osmet.mappings} extents)`,
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
  return rows.map(([label, value]) => label.padEnd(width) + printableLine(value)).join('\n');
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
  return `${area.path}, ${formatBytes(area.length)} at ${area.offset}, ${state}`;
}

function rootImage({ rootImage: image }: IsoReport): string {
  if (image === undefined) return 'none';
  const details = image.filesystem ? filesystem(image.filesystem) : 'of an unknown kind';
  return `${image.path}, ${formatBytes(image.length)} at ${image.offset}, ${details}`;
}

function filesystem(fs: RootFilesystem): string {
  const compression =
    typeof fs.compression === 'string' ? fs.compression : fs.compression.join('+');
  return `${fs.kind}, ${compression || 'not compressed'}, ${fs.blockSize}-byte blocks, ${fs.inodes} inodes`;
}

function makes({ osmets, lacks }: IsoReport): string {
  return lacks.length === 0 ? osmets.map(({ variant }) => variant).join(', ') : 'nothing';
}
