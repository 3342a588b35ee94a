import { UnsupportedError, UsageError } from '../core/errors.ts';
import { suggestion } from '../core/text/suggest.ts';
import { nameMatches, plainFormat, shortName } from '../release/stream/artifacts.ts';
import type { MissingArtifact, RecipeArtifact, Recipes } from './recipes.ts';

export interface Selection {
  /** Platforms (`qemu`), artifacts (`metal/4k.raw`, `metal/pxe/kernel`), or `all`. */
  readonly platforms: readonly string[];
  /** Formats (`raw`, `qcow2.xz`, `pxe`), or `all`; undefined picks the platform's usual one. */
  readonly formats?: readonly string[] | undefined;
}

export interface Selected {
  readonly artifacts: readonly RecipeArtifact[];
  /** What was left out and how to get it: `metal also has 4k.raw, iso, pxe (--format)`. */
  readonly notes: readonly string[];
  /** Requested through `all` or leniently, listed in the bundle, but not covered by it. */
  readonly uncovered: readonly MissingArtifact[];
  /** Names that mean nothing for this architecture, if `lenient` makes that no error. */
  readonly absent: ReadonlyMap<string, UnsupportedError>;
}

export interface SelectOptions {
  /** Other architectures may have what this one lacks. */
  readonly lenient?: boolean | undefined;
}

/**
 * The artifacts that a user means.
 *
 * - `all` is everything, narrowed by formats if given; what the bundle could not cover is returned
 *   as `uncovered`, for the caller to make a failure of after the rest is done.
 * - A platform with one format is that one. `metal`, which has several, is its raw disk unless a
 *   format is named; another platform with several and no raw gives them all.
 * - A name with slashes is exact.
 *
 * Throws UnsupportedError `PLATFORM_ABSENT`, `FORMAT_ABSENT`, or `ARTIFACT_MISSING` for one that the
 * bundle knows but does not cover, with the reason. If `lenient`, these are returned instead, as
 * `absent` and `uncovered`.
 */
export function selectArtifacts(
  recipes: Recipes,
  selection: Selection,
  { lenient = false }: SelectOptions = {},
): Selected {
  const { platforms, formats } = selection;
  if (platforms.length === 0) {
    throw new UsageError('no platform is named', {
      code: 'PLATFORM_NONE',
      hint: `name some with --platform: ${listOf(recipes)}`,
    });
  }
  const chosen = new Set<RecipeArtifact>();
  const notes: string[] = [];
  const absent = new Map<string, UnsupportedError>();
  const uncovered = new Set(platforms.includes('all') ? narrow(recipes.missing, formats) : []);
  for (const name of platforms) {
    const matching = recipes.artifacts.filter((id) => name === 'all' || nameMatches(name, id));
    const missing = recipes.missing.filter((id) => name === 'all' || nameMatches(name, id));
    const inFormat = narrow(matching, formats);
    const missingInFormat = narrow(missing, formats);
    const exact = name === 'all' || name.includes('/') || formats !== undefined;
    const picked = exact ? inFormat : usual(inFormat);
    const refused = name !== 'all' && (exact || picked.length === 0) ? missingInFormat : [];
    if (refused.length > 0 && !lenient) throw uncoveredError(refused, recipes);
    for (const artifact of refused) uncovered.add(artifact);
    if (picked.length === 0) {
      const error = absentError(name, matching, selection, recipes);
      if (!lenient) throw error;
      if (missingInFormat.length === 0) absent.set(name, error);
      continue;
    }
    if (!exact && picked.length < matching.length) {
      const others = matching.filter((artifact) => !picked.includes(artifact));
      const names = [...new Set(others.map(({ format }) => plainFormat(format)))];
      notes.push(`${name} also has ${names.join(', ')} (choose with --format)`);
    }
    for (const artifact of picked) chosen.add(artifact);
  }
  return {
    artifacts: recipes.artifacts.filter((artifact) => chosen.has(artifact)),
    notes,
    uncovered: recipes.missing.filter((artifact) => uncovered.has(artifact)),
    absent,
  };
}

function narrow<T extends RecipeArtifact | MissingArtifact>(
  artifacts: readonly T[],
  formats: readonly string[] | undefined,
): readonly T[] {
  if (formats === undefined || formats.includes('all')) return artifacts;
  return artifacts.filter(
    ({ format }) => formats.includes(format) || formats.includes(plainFormat(format)),
  );
}

function usual(artifacts: readonly RecipeArtifact[]): readonly RecipeArtifact[] {
  const raw = artifacts.filter(({ format }) => plainFormat(format) === 'raw');
  return raw.length > 0 ? raw : artifacts;
}

function uncoveredError(missing: readonly MissingArtifact[], recipes: Recipes): UnsupportedError {
  const everything = [...recipes.artifacts, ...recipes.missing];
  const names = missing.map((artifact) => shortName(artifact, everything)).join(', ');
  const [first] = missing;
  return new UnsupportedError(`the bundle does not cover ${names}: ${first?.reason}`, {
    code: 'ARTIFACT_MISSING',
    context: { release: first?.release, file: first?.name },
    hint: `fetch it from the release, or name only what the bundle has: ${listOf(recipes)}`,
  });
}

function absentError(
  name: string,
  ofPlatform: readonly RecipeArtifact[],
  { formats }: Selection,
  recipes: Recipes,
): UnsupportedError {
  const context = { architecture: recipes.architecture };
  if (ofPlatform.length > 0 && formats !== undefined) {
    const there = [...new Set(ofPlatform.map(({ format }) => plainFormat(format)))];
    return new UnsupportedError(`${name} has no format ${formats.join(', ')} in the bundle`, {
      code: 'FORMAT_ABSENT',
      context,
      hint: `${suggestion(formats[0] ?? '', there)}choose with --format from: ${there.join(', ')}`,
    });
  }
  return new UnsupportedError(`the bundle has no ${name} for ${recipes.architecture}`, {
    code: 'PLATFORM_ABSENT',
    context,
    hint: `${suggestion(name, namesOf(recipes))}choose with --platform from: ${listOf(recipes)}`,
  });
}

/** Every name that a platform or an artifact may be given by. */
export function namesOf({ artifacts }: Recipes): ReadonlySet<string> {
  return new Set([
    ...artifacts.map(({ platform }) => platform),
    ...artifacts.map((artifact) => shortName(artifact, artifacts)),
    'all',
  ]);
}

/** Names that `--platform` takes. */
export function listOf({ artifacts }: Recipes): string {
  return artifacts.map((artifact) => shortName(artifact, artifacts)).join(', ');
}
