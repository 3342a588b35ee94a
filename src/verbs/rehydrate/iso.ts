import { stat } from 'node:fs/promises';
import { checkBlob } from '../../bundle/blobs.ts';
import { notPulled } from '../../bundle/pulled.ts';
import type { Bundle } from '../../bundle/read.ts';
import type { Recipes } from '../../bundle/recipes.ts';
import type { Arch } from '../../core/arch.ts';
import { IntegrityError, UnsupportedError, UsageError } from '../../core/errors.ts';
import { hashFile } from '../../core/io/hash-file.ts';
import { osError } from '../../core/io/os-error.ts';
import { lookAt } from '../../core/io/presence.ts';
import { openSource } from '../../core/io/source.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import { readIgnitionArea } from '../../formats/iso/embed-area.ts';
import { openIso9660 } from '../../formats/iso/iso9660.ts';
import { openLiveIso } from '../../formats/iso/open.ts';
import { openRootImageIso } from '../../formats/iso/root-image.ts';

export interface IsoOptions {
  readonly bundle: Bundle;
  readonly recipes: Recipes;
  /** The user's own copy; must be identical to the ISO of the bundle. */
  readonly isoPath?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
}

/**
 * Finds the bundle's ISO: the user's copy if one is named, otherwise the embedded one. Checks its size
 * only. Throws UsageError `ISO_EXTERNAL` if the bundle holds none, IntegrityError `ISO_WRONG`.
 */
export async function findIso({ bundle, recipes, isoPath }: IsoOptions): Promise<string> {
  const { iso } = recipes;
  if (isoPath === undefined) {
    if (iso.embedded) return embeddedIso(bundle, recipes);
    throw new UsageError('the ISO is not in the bundle', {
      code: 'ISO_EXTERNAL',
      context: { iso: iso.name, sha256: iso.sha256, size: iso.size, location: iso.location },
      hint: `fetch ${iso.name} and name it with --iso`,
    });
  }
  let size: number;
  try {
    ({ size } = await stat(isoPath));
  } catch (error) {
    throw osError(error, 'open', isoPath);
  }
  if (size !== iso.size) {
    throw await wrongIso(isoPath, recipes, `${size} bytes`, `${iso.size} bytes`);
  }
  return isoPath;
}

async function embeddedIso(bundle: Bundle, recipes: Recipes): Promise<string> {
  const { iso } = recipes;
  if (!(await notPulled(bundle, recipes)).iso) return checkBlob(bundle.path, iso);
  throw new IntegrityError(`not pulled: the ISO ${iso.name}`, {
    code: 'BLOB_MISSING',
    context: { bundle: bundle.path, iso: iso.name, sha256: iso.sha256 },
    hint: `name it with --iso, or run \`iso-rehydrate pull REF -o ${bundle.path}\``,
  });
}

/** Whether the bundle itself lacks its ISO. */
export async function isIsoAbsent({
  bundle,
  recipes: { iso },
}: Pick<IsoOptions, 'bundle' | 'recipes'>): Promise<boolean> {
  if (!iso.embedded) return true;
  return (await lookAt(bundle.blobPath(iso))) === undefined;
}

/** Reads the whole ISO. Throws IntegrityError `ISO_WRONG` (the user's copy) or `BLOB_DIGEST`. */
export async function proveIso(path: string, options: IsoOptions): Promise<void> {
  const { recipes, isoPath, signal, progress } = options;
  const { sha256, size, name } = recipes.iso;
  await step(progress, { subject: name, phase: 'hash-iso', total: size }, async (onBytes) => {
    const { sha256: found } = await hashFile(path, { signal, onBytes });
    if (found === sha256) return;
    if (isoPath !== undefined) throw await wrongIso(path, recipes, found, sha256);
    throw new IntegrityError('the ISO in the bundle is damaged', {
      code: 'BLOB_DIGEST',
      context: { file: path, expected: sha256, found },
      hint: 'copy or pull the bundle again, or name a good copy of the ISO with --iso',
    });
  });
}

/** `coreos-installer iso customize` and `iso ignition embed` fill an area of the ISO that is empty as released. */
async function isCustomized(path: string): Promise<boolean> {
  try {
    await using source = await openSource(path);
    return (await readIgnitionArea(await openIso9660(source)))?.empty === false;
  } catch {
    return false; // not an ISO at all, so the wrong one
  }
}

/**
 * Assigns the user's ISOs to architectures. A single ISO for a single architecture is accepted unread (it
 * is checked later); otherwise each ISO's own architecture decides. Throws UsageError `ISO_TWICE` or
 * `ISO_UNWANTED`, and what `openLiveIso` throws.
 */
export async function matchIsos(
  paths: readonly string[],
  wanted: readonly { readonly recipes: Recipes }[],
  signal?: AbortSignal,
): Promise<ReadonlyMap<Arch, string>> {
  const isos = new Map<Arch, string>();
  const [path] = paths;
  const [only] = wanted;
  if (paths.length === 1 && wanted.length === 1 && path !== undefined && only) {
    return isos.set(only.recipes.architecture, path);
  }
  for (const iso of paths) {
    const arch = await archOfIso(iso, signal);
    const other = isos.get(arch);
    if (other !== undefined) {
      throw new UsageError(`two ISOs of ${arch} are named`, {
        code: 'ISO_TWICE',
        context: { first: other, second: iso },
        hint: 'give at most one --iso for each architecture',
      });
    }
    if (!wanted.some(({ recipes }) => recipes.architecture === arch)) {
      throw new UsageError(`${iso} is an ISO for ${arch}, which was not requested`, {
        code: 'ISO_UNWANTED',
        context: { iso },
        hint: `omit it, or add ${arch} to --arch`,
      });
    }
    isos.set(arch, iso);
  }
  return isos;
}

/** What an ISO boots, with or without an osmet. */
async function archOfIso(path: string, signal: AbortSignal | undefined): Promise<Arch> {
  try {
    return (await openLiveIso(path, { signal })).arch;
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    const { arch } = await openRootImageIso(path, signal).catch(() => ({ arch: undefined }));
    if (arch === undefined) throw error;
    return arch;
  }
}

async function wrongIso(path: string, { iso }: Recipes, found: string, expected: string) {
  if (await isCustomized(path)) {
    return new IntegrityError(
      `${path} is not the ISO as released: an Ignition config is embedded`,
      {
        code: 'ISO_WRONG',
        context: { iso: path, wanted: iso.name, expected, found },
        hint: `run \`coreos-installer iso reset ${path}\` on a copy of it, or name ${iso.name} with --iso`,
      },
    );
  }
  return new IntegrityError(`${path} is the wrong ISO for the bundle`, {
    code: 'ISO_WRONG',
    context: { iso: path, wanted: iso.name, expected, found },
    hint: `name ${iso.name} with --iso${iso.embedded ? ', or leave --iso out' : ''}`,
  });
}
