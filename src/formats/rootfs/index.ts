import { UnsupportedError } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';
import type { IsoExtent } from '../iso/live-iso.ts';
import { openErofs } from './erofs/index.ts';
import type { RootFiles } from './root-files.ts';
import { openSquashfs } from './squashfs/index.ts';
import { decodeSuperblock, SUPERBLOCKS_SIZE } from './superblock.ts';

/**
 * Opens the root image of a live ISO in place, in any supported format.
 *
 * @throws UnsupportedError `ROOT_IMAGE_KIND`, and what the readers throw.
 */
export function openRootFiles(source: Source, extent: IsoExtent): RootFiles {
  const head = new Uint8Array(Math.min(SUPERBLOCKS_SIZE, extent.length));
  source.readSync(head, extent.offset);
  const superblock = decodeSuperblock(head);
  switch (superblock?.kind) {
    case 'squashfs':
      return openSquashfs(source, extent, superblock);
    case 'erofs':
      return openErofs(source, extent);
    default:
      throw new UnsupportedError(
        `${extent.path} is not a root image that the native engine can read`,
        {
          code: 'ROOT_IMAGE_KIND',
          context: { image: extent.path, offset: extent.offset },
          hint: 'use the qemu engine',
        },
      );
  }
}
