import type { Arch } from '../../core/arch.ts';
import { UnsupportedError } from '../../core/errors.ts';
import { openSource, type Source } from '../../core/io/source.ts';
import { openIso9660 } from './iso9660.ts';
import { readKernelArch } from './kernel-arch.ts';
import { archByLayout, findKernel, findRootfs, readLayoutHints } from './layout.ts';
import type { IsoExtent, OsmetEntry } from './live-iso.ts';
import { checkArch } from './open.ts';
import { readRootfs } from './rootfs.ts';

/** A live ISO with a root image, whether or not it carries osmets. Nothing here is trusted. */
export interface RootImageIso {
  readonly path: string;
  readonly size: number;
  /** Undefined if nothing in the ISO shows it. */
  readonly arch: Arch | undefined;
  readonly rootImage: IsoExtent;
  readonly osmets: readonly OsmetEntry[];
}

/** Where image-builder's generic ISOs, and dracut's dmsquash-live, have the root image. */
const GENERIC = 'LiveOS/squashfs.img';

/**
 * Finds the root image of a live ISO: in CoreOS' `rootfs.img`, or where other live ISOs have it.
 *
 * @throws FormatError, as `openLiveIso` does; UnsupportedError `ISO_NOT_COREOS`, `ISO_NO_ROOTFS`,
 * `ISO_NO_ROOT_IMAGE`; IoError.
 */
export async function openRootImageIso(path: string, signal?: AbortSignal): Promise<RootImageIso> {
  await using source = await openSource(path, signal);
  const iso = await openIso9660(source);
  const hints = await readLayoutHints(iso);
  const generic = await iso.extent(GENERIC);
  const { rootImage, osmets } =
    generic && generic.length > 0
      ? { rootImage: generic, osmets: [] }
      : await inRootfs(source, await findRootfs(iso), signal);
  const kernel = await findKernel(iso, hints, hints.arch).catch((error: unknown) => {
    if (error instanceof UnsupportedError) return undefined;
    throw error;
  });
  const ofKernel = kernel && (await readKernelArch(source, kernel));
  const arch = ofKernel ?? hints.arch ?? (await archByLayout(iso));
  if (arch !== undefined) checkArch(arch, hints, ofKernel);
  return { path, size: source.size, arch, rootImage, osmets };
}

async function inRootfs(source: Source, rootfs: IsoExtent, signal: AbortSignal | undefined) {
  const { rootImage, osmets } = await readRootfs(source, rootfs, signal);
  if (rootImage) return { rootImage, osmets };
  throw new UnsupportedError(`${rootfs.path} has no root image`, {
    code: 'ISO_NO_ROOT_IMAGE',
    context: { rootfs: rootfs.path },
    hint: 'use the full live ISO of the release, or name a container image with --container',
  });
}
