import { UnsupportedError } from '../../../core/errors.ts';
import type { Source } from '../../../core/io/source.ts';
import type { IsoExtent } from '../../iso/live-iso.ts';
import type { Codec } from '../decompress.ts';
import type { RootFiles } from '../root-files.ts';
import type { SquashfsSuperblock } from '../superblock.ts';
import { badSquashfs } from './bad.ts';
import type { Layout } from './block.ts';
import { rootFile } from './file.ts';
import { openTables } from './tables.ts';

/** Compressors by name; lzma and lzo are not what CoreOS has ever used. */
const CODECS: Readonly<Record<string, Codec | undefined>> = {
  gzip: 'zlib',
  xz: 'xz',
  lz4: 'lz4',
  zstd: 'zstd',
};

/** So many, each with a hard link in a deployment, are what the tables' memory has room for. */
const MAX_INODES = 240_000;

/**
 * Opens a squashfs in place inside an ISO, for finding where the bytes of its files are. Its tables are read
 * by the crate backhand; here is what becomes of them.
 *
 * @throws FormatError `SQUASHFS_BAD` (what and where), UnsupportedError `SQUASHFS_*`.
 */
export function openSquashfs(
  source: Source,
  extent: IsoExtent,
  { version, compression, blockSize, bytesUsed, inodes }: SquashfsSuperblock,
): RootFiles {
  if (version !== '4.0') {
    throw new UnsupportedError(`squashfs of version ${version}`, {
      code: 'SQUASHFS_VERSION',
      context: { version },
      hint: 'use the qemu engine',
    });
  }
  const codec = CODECS[compression];
  if (codec === undefined) {
    throw new UnsupportedError(`squashfs compressed with ${compression}`, {
      code: 'SQUASHFS_COMPRESSION',
      context: { compression },
      hint: 'use the qemu engine',
    });
  }
  if (bytesUsed > extent.length) {
    throw badSquashfs(`it wants ${bytesUsed} bytes, ${extent.length} are there`, 40);
  }
  if (inodes > MAX_INODES) {
    throw new UnsupportedError(`squashfs with ${inodes} inodes`, {
      code: 'SQUASHFS_TOO_LARGE',
      context: { inodes, limit: MAX_INODES },
      hint: 'use the qemu engine',
    });
  }
  const tables = openTables(source, { ...extent, length: bytesUsed }, codec);
  const layout: Layout = { codec, blockSize, bytesUsed, start: extent.offset };
  return {
    description: `squashfs, ${compression}`,
    find(path) {
      const node = tables.find(path);
      return typeof node === 'object' ? rootFile(layout, tables, node) : undefined;
    },
    hasFolder: (path) => tables.find(path) === 'folder',
  };
}
