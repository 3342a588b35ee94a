import { type Arch, parseArch } from '../../core/arch.ts';
import { FormatError, UsageError } from '../../core/errors.ts';
import { openSource, type Source } from '../../core/io/source.ts';
import { openIso9660 } from './iso9660.ts';
import { findLiveKargs } from './kargs.ts';
import { readKernelArch } from './kernel-arch.ts';
import { findInitrd, findKernel, findRootfs, type LayoutHints, readLayoutHints } from './layout.ts';
import type { LiveIso, OsmetEntry } from './live-iso.ts';
import { readRootfs, requireComplete } from './rootfs.ts';

/**
 * Reads everything that the program needs to know about a CoreOS live ISO. Only a small part of the ISO is
 * read, however large it is.
 *
 * @throws FormatError `ISO_NOT_ISO9660`, `ISO_TRUNCATED`, `ISO_ARCH_MISMATCH`, `CPIO_*`, `OSMET_BAD`…;
 * UnsupportedError `ISO_NOT_COREOS`, `ISO_NO_ROOTFS`, `ISO_NO_OSMET`…; IoError.
 */
export async function openLiveIso(
  path: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<LiveIso> {
  await using source = await openSource(path, options.signal);
  return await readLiveIso(source, options.signal);
}

/** {@link openLiveIso} for a source that is already open. */
export async function readLiveIso(source: Source, signal?: AbortSignal): Promise<LiveIso> {
  const iso = await openIso9660(source);
  const hints = await readLayoutHints(iso);
  const rootfs = await findRootfs(iso);
  const { rootImage, osmets } = requireComplete(await readRootfs(source, rootfs, signal), rootfs);
  const arch = archOf(osmets);
  const kernel = await findKernel(iso, hints, arch);
  checkArch(arch, hints, await readKernelArch(source, kernel));
  const initrd = await findInitrd(iso, hints);
  const kargs = (await findLiveKargs(iso))?.kargs;
  return {
    path: source.name,
    size: source.size,
    volumeId: iso.volumeId,
    arch,
    kernel,
    initrd,
    rootfs,
    kargs,
    rootImage,
    osmets,
  };
}

/** The architecture that all osmets name. */
export function archOf(osmets: readonly [OsmetEntry, ...OsmetEntry[]]): Arch {
  const [first, ...others] = osmets;
  const odd = others.find(({ arch }) => arch !== first.arch);
  if (odd) {
    throw mismatch(`${first.name} is for ${first.arch}, ${odd.name} for ${odd.arch}`);
  }
  try {
    return parseArch(first.arch);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new FormatError(`${first.name} is for the unknown architecture '${first.arch}'`, {
      code: 'ISO_ARCH_UNKNOWN',
      context: { osmet: first.name, arch: first.arch },
      cause: error,
    });
  }
}

/** Checks that the kernel and `.treeinfo` do not contradict the architecture of the osmets. */
export function checkArch(arch: Arch, hints: LayoutHints, kernel: Arch | undefined): void {
  if (kernel !== undefined && kernel !== arch) {
    throw mismatch(`the osmets are for ${arch}, the kernel for ${kernel}`);
  }
  if (hints.arch !== undefined && hints.arch !== arch) {
    throw mismatch(`the osmets are for ${arch}, .treeinfo says ${hints.arch}`);
  }
}

function mismatch(message: string): FormatError {
  return new FormatError(`the ISO contradicts itself: ${message}`, {
    code: 'ISO_ARCH_MISMATCH',
    hint: 'use the ISO as released',
  });
}
