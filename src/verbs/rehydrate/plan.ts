import type { Bundle } from '../../bundle/read.ts';
import type { RecipeArtifact } from '../../bundle/recipes.ts';
import { type ArchWork, chooseWork, type WorkRequest } from '../../bundle/work.ts';
import { codecOf } from '../../codec/registry.ts';
import type { Arch } from '../../core/arch.ts';
import type { UnsupportedError } from '../../core/errors.ts';
import type { Progress } from '../../core/progress/progress.ts';
import type { Containers } from '../../engine/files/sources/open-container.ts';
import type { Keys } from '../../release/download/signature.ts';
import { fileOf, type MadeFile } from '../make/made-file.ts';
import { refuseContainers } from '../make/metals.ts';
import { matchIsos } from './iso.ts';
import {
  type Output,
  type PlannedFile,
  type PlanOptions,
  planFiles,
  refuseClashes,
} from './output.ts';
import { withoutIso } from './without-iso.ts';

/** The requested artifacts, their architectures and their destination. */
export interface PlanRequest extends WorkRequest {
  readonly bundle: Bundle;
  /** A function is called once the number of artifacts is known. */
  readonly output: Output | ((count: number) => Promise<Output>);
  /** Make the released files, compressed as they were released, instead of their contents. */
  readonly released?: boolean | undefined;
  /** Check the signatures of the release, which the bundle carries, with these keys. */
  readonly keyring?: Keys | undefined;
  /** Replace existing files. */
  readonly force?: boolean | undefined;
  /** Write to a block device. */
  readonly forceDevice?: boolean | undefined;
  /** Copies of the ISO outside the bundle, one per architecture at most. */
  readonly isoPaths?: readonly string[] | undefined;
  /** Sources of the base `files`, instead of the ISO. */
  readonly containers?: Containers | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The destination of an artifact: a file or, without a path, the stream. */
export type Planned =
  | PlannedFile
  | { readonly file: MadeFile; readonly path: undefined; readonly present: false };

/** The work for one architecture. */
export interface ArchPlan extends ArchWork {
  /** The destination of each artifact. */
  readonly files: readonly Planned[];
  readonly isoPath: string | undefined;
}

export interface Plan {
  readonly output: Output;
  readonly architectures: readonly ArchPlan[];
  /** Architectures of the bundle without any requested artifact, with the reason. */
  readonly leftOut: ReadonlyMap<Arch, UnsupportedError>;
}

/**
 * Decides which artifacts are made and where they go, for all architectures, before any work is done. Throws
 * UnsupportedError `CODEC_UNKNOWN`, and what {@link chooseWork} and {@link planFiles} throw.
 */
export async function planRehydration(request: PlanRequest, progress: Progress): Promise<Plan> {
  const { force = false, forceDevice, released, signal } = request;
  const { architectures: chosen, leftOut } = chooseWork(request, progress);
  for (const { recipes } of chosen) refuseContainers(recipes, request.containers);
  const wanted = await withoutIso(chosen, request, progress);
  const everything = wanted.flatMap(({ artifacts }) => artifacts);
  refuseUnknownCodecs(everything);
  const output =
    typeof request.output === 'function' ? await request.output(everything.length) : request.output;
  const made = everything.map((artifact) => fileOf(artifact, { released }));
  const files = await placeAll(made, output, { force, forceDevice, signal });
  const isos = await matchIsos(request.isoPaths ?? [], wanted, request.signal);
  const architectures = wanted.map((work) => ({
    ...work,
    files: files.filter(({ file }) => work.artifacts.includes(file.artifact)),
    isoPath: isos.get(work.recipes.architecture),
  }));
  return { output, architectures, leftOut };
}

async function placeAll(
  files: readonly MadeFile[],
  output: Output,
  options: PlanOptions,
): Promise<readonly Planned[]> {
  if (files.length === 0) return [];
  if (output.kind !== 'stream') return planFiles(files, output, options);
  refuseClashes(files.map(({ name }) => name));
  return files.map((file) => ({ file, path: undefined, present: false }));
}

/** Fails now rather than after the boot. */
function refuseUnknownCodecs(artifacts: readonly RecipeArtifact[]): void {
  for (const { recipe, name } of artifacts) {
    if (recipe.kind === 'container') for (const layer of recipe.layers) codecOf(layer, name);
  }
}
