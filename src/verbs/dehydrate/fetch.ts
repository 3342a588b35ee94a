import type { ReleasedKind } from '../../codec/released/layer.ts';
import type { Arch } from '../../core/arch.ts';
import { KINDS_WORST_FIRST, kindError, RehydrateError, throwIfAborted } from '../../core/errors.ts';
import { openRootImageIso } from '../../formats/iso/root-image.ts';
import {
  type DownloadFailure,
  type DownloadOptions,
  download,
} from '../../release/download/download.ts';
import { findReleased } from '../../release/files/released.ts';
import { requireTool } from '../../release/files/require-tool.ts';
import {
  idText,
  isoArtifact,
  listArtifacts,
  type StreamArtifact,
} from '../../release/stream/artifacts.ts';
import type { Stream } from '../../release/stream/schema.ts';
import { estimate } from '../estimate/estimate.ts';
import type { Allowance } from './failures.ts';
import type { FindIsoOptions } from './iso.ts';
import { metalArtifact } from './released-metal.ts';

/**
 * Fetches the metal images of architectures whose ISO has no osmet to make them from. `elsewhere`: a container image
 * has the files. Throws as {@link fetchReleased} does.
 */
export async function fetchMetal(
  stream: Stream,
  arches: readonly Arch[],
  allowed: Allowance,
  { elsewhere, ...options }: DownloadOptions & { readonly elsewhere: boolean },
): Promise<void> {
  const needed: StreamArtifact[] = [];
  for (const arch of arches) {
    const artifacts = listArtifacts(stream, arch);
    const iso = await findReleased(options.folder, isoArtifact(artifacts, arch));
    if (iso === undefined || (await hasOsmets(iso.path, { elsewhere, signal: options.signal })))
      continue;
    for (const variant of ['metal', 'metal4k'] as const) {
      needed.push(...[metalArtifact(artifacts, variant)].filter((found) => found !== undefined));
    }
  }
  if (needed.length > 0) refuse(await download(needed, options), allowed, options);
}

/**
 * An ISO that cannot be read at all is reported when it is opened for its own sake; with a container image, nothing
 * needs to be read from it.
 */
async function hasOsmets(
  path: string,
  { elsewhere, signal }: Pick<FindIsoOptions, 'elsewhere' | 'signal'>,
): Promise<boolean> {
  try {
    return (await openRootImageIso(path, signal)).osmets.length > 0;
  } catch (error) {
    throwIfAborted(signal);
    if (error instanceof RehydrateError) return !elsewhere;
    throw error;
  }
}

/**
 * Downloads the files that dehydrate needs for some architectures and that are not in the folder, except
 * artifacts that cannot be covered, and disks that the ISO unpacks to unless their compression is one of `kinds`. Throws one error for all files
 * that failed, unless they may be missing.
 */
export async function fetchReleased(
  stream: Stream,
  arches: readonly Arch[],
  allowed: Allowance,
  { kinds, ...options }: DownloadOptions & { readonly kinds: readonly ReleasedKind[] },
): Promise<void> {
  const { folder } = options;
  const { architectures } = await estimate(stream, { arches, folder, released: kinds });
  const needed: StreamArtifact[] = architectures.flatMap(({ architecture, artifacts }) => {
    const wanted = new Set(
      artifacts
        .filter(({ fileAt, how }) => fileAt !== 'not-needed' && how !== 'uncovered')
        .map(idText),
    );
    return listArtifacts(stream, architecture).filter((artifact) => wanted.has(idText(artifact)));
  });
  if (options.keyring !== undefined) await requireTool('gpgv');
  if (needed.some(({ compression }) => compression === 'xz')) await requireTool('xz');
  refuse(await download(needed, options), allowed, options);
}

function refuse(
  failures: readonly DownloadFailure[],
  allowed: Allowance,
  options: DownloadOptions,
): void {
  const fatal = failures.filter(({ artifact }) => !allowed.allows(artifact));
  if (fatal.length === 0) return;
  const errors = fatal.map(({ error }) => error);
  const bug = errors.find((error) => !(error instanceof RehydrateError));
  if (bug !== undefined) throw bug;
  const ours = errors.filter((error): error is RehydrateError => error instanceof RehydrateError);
  const [first] = ours;
  if (ours.length === 1 && first) throw first;
  const kind = KINDS_WORST_FIRST.find((one) => ours.some((error) => error.kind === one)) ?? 'io';
  const lines = ours.map(({ message }) => message);
  throw kindError(kind, `${ours.length} files could not be downloaded: ${lines.join('; ')}`, {
    code: 'DOWNLOADS',
    context: { folder: options.folder },
    hint: 'try again, which resumes the downloads; or allow their absence with --allow-missing',
    cause: new AggregateError(errors),
  });
}
