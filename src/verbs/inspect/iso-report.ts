import * as v from 'valibot';
import type { Arch } from '../../core/arch.ts';
import { RehydrateError, throwIfAborted, UnsupportedError } from '../../core/errors.ts';
import { openSource, type Source } from '../../core/io/source.ts';
import { type IgnitionArea, readIgnitionArea } from '../../formats/iso/embed-area.ts';
import { readIsoJson } from '../../formats/iso/iso-json.ts';
import { type Iso9660, openIso9660 } from '../../formats/iso/iso9660.ts';
import { type LiveKargs, readLiveKargs } from '../../formats/iso/kargs.ts';
import { readKernelArch } from '../../formats/iso/kernel-arch.ts';
import {
  archByLayout,
  findInitrd,
  findKernel,
  findRootfs,
  type LayoutHints,
  readLayoutHints,
} from '../../formats/iso/layout.ts';
import type { IsoExtent, OsmetEntry } from '../../formats/iso/live-iso.ts';
import { archOf, checkArch } from '../../formats/iso/open.ts';

import { type Rootfs, readRootfs, requireComplete } from '../../formats/iso/rootfs.ts';
import {
  decodeSuperblock,
  type RootFilesystem,
  SUPERBLOCKS_SIZE,
} from '../../formats/rootfs/superblock.ts';

/** A part of a complete live ISO that is missing or broken in this one. */
export interface IsoLack {
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
}

export interface IsoFileReport extends IsoExtent {
  readonly role: 'kernel' | 'initrd' | 'rootfs';
}

/** The description of an ISO. Plain data, printed by `--json`. */
export interface IsoReport {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  readonly volumeId: string;
  /** From the osmets, e.g. `Fedora CoreOS 42.20250101.3.0`. */
  readonly description: string | undefined;
  readonly arch: Arch | undefined;
  /** Source of the architecture; only `osmet` is certain. */
  readonly archSource: 'osmet' | 'kernel' | 'treeinfo' | 'bootloader' | undefined;
  readonly kargs: LiveKargs | undefined;
  readonly files: readonly IsoFileReport[];
  readonly ignition: IgnitionArea | undefined;
  /** Features that `coreos/features.json` lists as supported, dotted. */
  readonly features: readonly string[];
  /** Whether a minimal ISO can be made of it (`coreos/miniso.dat`). */
  readonly miniso: boolean;
  readonly rootImage: (IsoExtent & { readonly filesystem: RootFilesystem | undefined }) | undefined;
  readonly osmets: readonly (Omit<OsmetEntry, 'contents'> & {
    /** Share of the disk that comes from OSTree objects, 0 to 1. */
    readonly mappedShare: number;
  })[];
  /** Empty if metal can be regenerated from this ISO. */
  readonly lacks: readonly IsoLack[];
}

/**
 * Describes any ISO 9660 image as a CoreOS live ISO; missing parts are listed rather than thrown.
 *
 * @throws FormatError for a truncated file or one that is not an ISO, IoError, CancelledError.
 */
export async function inspectIso(
  path: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<IsoReport> {
  await using source = await openSource(path, options.signal);
  return await inspectIsoSource(source, options.signal);
}

/** {@link inspectIso} of a source that is open already. */
export async function inspectIsoSource(source: Source, signal?: AbortSignal): Promise<IsoReport> {
  const iso = await openIso9660(source);
  const lacks: IsoLack[] = [];
  /** Records unsupported and malformed parts and goes on; other errors are thrown. */
  const attempt = async <T>(step: () => Promise<T> | T): Promise<T | undefined> => {
    throwIfAborted(signal);
    try {
      return await step();
    } catch (error) {
      if (!(error instanceof RehydrateError)) throw error;
      if (error.kind !== 'format' && error.kind !== 'unsupported') throw error;
      lacks.push({ code: error.code, message: error.message, hint: error.hint });
      return undefined;
    }
  };

  const hints = (await attempt(() => readLayoutHints(iso))) ?? NO_HINTS;
  const rootfs = await attempt(() => findRootfs(iso));
  const contents =
    rootfs &&
    (await attempt(() => {
      rejectPlaceholder(rootfs);
      return readRootfs(source, rootfs, signal);
    }));
  const complete =
    rootfs && contents && (await attempt(async () => requireComplete(contents, rootfs)));
  const layoutArch = hints.arch ?? (await attempt(() => archByLayout(iso)));
  const osmetArch = complete && (await attempt(() => archOf(complete.osmets)));
  const kernel = await attempt(() => findKernel(iso, hints, osmetArch ?? layoutArch));
  const kernelArch = kernel && (await attempt(() => readKernelArch(source, kernel)));
  if (osmetArch) await attempt(() => checkArch(osmetArch, hints, kernelArch));
  const initrd = await attempt(() => findInitrd(iso, hints));
  for (const file of [kernel, initrd]) await attempt(() => file && rejectPlaceholder(file));

  return {
    path: source.name,
    size: source.size,
    volumeId: iso.volumeId,
    description: contents?.osmets[0]?.description,
    ...(osmetArch
      ? { arch: osmetArch, archSource: 'osmet' as const }
      : guessArch(kernelArch, hints.arch, layoutArch)),
    kargs: await attempt(() => readLiveKargs(iso)),
    files: [
      ...fileReport('kernel', kernel),
      ...fileReport('initrd', initrd),
      ...fileReport('rootfs', rootfs),
    ],
    ignition: await attempt(() => readIgnitionArea(iso, signal)),
    features: (await attempt(() => readFeatures(iso))) ?? [],
    miniso: (await attempt(() => iso.lookup('coreos/miniso.dat'))) !== undefined,
    rootImage: contents && (await attempt(() => describeRootImage(source, contents))),
    osmets: (contents?.osmets ?? []).map(({ contents: _, ...osmet }) => ({
      ...osmet,
      mappedShare: osmet.mappedBytes / osmet.diskSize,
    })),
    lacks,
  };
}

/** Trimmed ISOs, such as those of coreos-installer's tests, keep all names but no contents. */
function rejectPlaceholder({ path, length }: IsoExtent): void {
  if (length >= 4096) return;
  throw new UnsupportedError(`${path} is a placeholder of ${length} bytes: a trimmed ISO`, {
    code: 'ISO_TRIMMED',
    context: { path, length },
    hint: 'use the ISO as released',
  });
}

const NO_HINTS: LayoutHints = { arch: undefined, kernel: [], initrd: [] };

function guessArch(
  kernel: Arch | undefined,
  treeinfo: Arch | undefined,
  layout: Arch | undefined,
): Pick<IsoReport, 'arch' | 'archSource'> {
  if (kernel) return { arch: kernel, archSource: 'kernel' };
  if (treeinfo) return { arch: treeinfo, archSource: 'treeinfo' };
  if (layout) return { arch: layout, archSource: 'bootloader' };
  return { arch: undefined, archSource: undefined };
}

function fileReport(
  role: IsoFileReport['role'],
  extent: IsoExtent | undefined,
): readonly IsoFileReport[] {
  return extent ? [{ role, ...extent }] : [];
}

async function describeRootImage(
  source: Source,
  { rootImage }: Rootfs,
): Promise<IsoReport['rootImage']> {
  if (rootImage === undefined) return undefined;
  const head = new Uint8Array(Math.min(SUPERBLOCKS_SIZE, rootImage.length));
  await source.read(head, rootImage.offset);
  return { ...rootImage, filesystem: decodeSuperblock(head) };
}

const Features = v.record(v.string(), v.union([v.boolean(), v.record(v.string(), v.boolean())]));

async function readFeatures(iso: Iso9660): Promise<string[]> {
  const features = (await readIsoJson(iso, 'coreos/features.json', Features)) ?? {};
  return Object.entries(features).flatMap(([name, value]) =>
    typeof value === 'boolean'
      ? value
        ? [name]
        : []
      : Object.entries(value).flatMap(([detail, yes]) => (yes ? [`${name}.${detail}`] : [])),
  );
}
