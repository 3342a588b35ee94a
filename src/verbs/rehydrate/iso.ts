import { stat } from 'node:fs/promises';
import { checkBlob } from '../../bundle/blobs.ts';
import type { Bundle } from '../../bundle/read.ts';
import type { Recipes } from '../../bundle/recipes.ts';
import type { Arch } from '../../core/arch.ts';
import { IntegrityError, UsageError } from '../../core/errors.ts';
import { hashFile } from '../../core/io/hash-file.ts';
import { osError } from '../../core/io/os-error.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import { openLiveIso } from '../../formats/iso/open.ts';

export interface IsoOptions {
  readonly bundle: Bundle;
  readonly recipes: Recipes;
  /** The user's own copy; must be the very ISO of the bundle. */
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
    if (iso.embedded) return checkBlob(bundle.path, iso);
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
  if (size !== iso.size) throw wrongIso(isoPath, recipes, `${size} bytes`, `${iso.size} bytes`);
  return isoPath;
}

/** Reads the whole ISO. Throws IntegrityError `ISO_WRONG` (the user's copy) or `BLOB_DIGEST`. */
export async function proveIso(path: string, options: IsoOptions): Promise<void> {
  const { recipes, isoPath, signal, progress } = options;
  const { sha256, size, name } = recipes.iso;
  await step(progress, { subject: name, phase: 'hash-iso', total: size }, async (onBytes) => {
    const { sha256: found } = await hashFile(path, { signal, onBytes });
    if (found === sha256) return;
    if (isoPath !== undefined) throw wrongIso(path, recipes, found, sha256);
    throw new IntegrityError('the ISO in the bundle is damaged', {
      code: 'BLOB_DIGEST',
      context: { file: path, expected: sha256, found },
      hint: 'copy or pull the bundle again, or name a good copy of the ISO with --iso',
    });
  });
}

/**
 * Tells which of the user's ISOs is whose. The only one for the only architecture is taken as it is
 * (it is checked soon enough); of several, each says itself what it boots. Throws UsageError
 * `ISO_TWICE` or `ISO_UNWANTED`, and what `openLiveIso` throws.
 */
export async function matchIsos(
  paths: readonly string[],
  wanted: readonly { readonly recipes: Recipes }[],
): Promise<ReadonlyMap<Arch, string>> {
  const isos = new Map<Arch, string>();
  const [path] = paths;
  const [only] = wanted;
  if (paths.length === 1 && wanted.length === 1 && path !== undefined && only) {
    return isos.set(only.recipes.architecture, path);
  }
  for (const iso of paths) {
    const { arch } = await openLiveIso(iso);
    const other = isos.get(arch);
    if (other !== undefined) {
      throw new UsageError(`two ISOs of ${arch} are named`, {
        code: 'ISO_TWICE',
        context: { first: other, second: iso },
        hint: 'name one --iso for each architecture at most',
      });
    }
    if (!wanted.some(({ recipes }) => recipes.architecture === arch)) {
      throw new UsageError(`${iso} is an ISO of ${arch}, which nothing is made of`, {
        code: 'ISO_UNWANTED',
        context: { iso },
        hint: `leave it out, or add ${arch} to --arch`,
      });
    }
    isos.set(arch, iso);
  }
  return isos;
}

function wrongIso(path: string, { iso }: Recipes, found: string, expected: string) {
  return new IntegrityError(`${path} is the wrong ISO for the bundle`, {
    code: 'ISO_WRONG',
    context: { iso: path, wanted: iso.name, expected, found },
    hint: `name ${iso.name} with --iso${iso.embedded ? ', or leave --iso out' : ''}`,
  });
}
