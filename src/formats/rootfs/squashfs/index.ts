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

/** Compressors by name; CoreOS has never used lzma and lzo. */
const CODECS: Readonly<Record<string, Codec | undefined>> = {
  gzip: 'zlib',
  xz: 'xz',
  lz4: 'lz4',
  zstd: 'zstd',
};

/** The most inodes, each with a hard link in a deployment, that fit in the memory for the tables. */
const MAX_INODES = 240_000;

/**
 * Opens a squashfs in place inside an ISO, to locate the bytes of its files. The crate backhand reads its
 * tables.
 *
 * @throws FormatError `SQUASHFS_BAD`, UnsupportedError `SQUASHFS_*`.
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
    throw badSquashfs(`it needs ${bytesUsed} bytes, but has ${extent.length}`, 40);
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
    *list() {
      for (const { path, node } of tables.files()) {
        // Hard links share all of it, and so do files that mksquashfs found to be equal.
        const { index = -1, offset = 0 } = node.fragment ?? {};
        const key = `${node.start}:${index}:${offset}:${node.size}`;
        yield { path, key, file: rootFile(layout, tables, node) };
      }
    },
  };
}
