import type { Arch } from '../../core/arch.ts';
import { KINDS_WORST_FIRST, kindError } from '../../core/arch-failures.ts';
import { RehydrateError } from '../../core/errors.ts';
import { type DownloadOptions, download } from '../../release/download/download.ts';
import { idText, listArtifacts, type StreamArtifact } from '../../release/stream/artifacts.ts';
import type { Stream } from '../../release/stream/schema.ts';
import { estimate } from '../estimate/estimate.ts';
import type { Allowance } from './failures.ts';

/**
 * Fetches what dehydrate will need of some architectures and does not find in the folder: nothing that
 * cannot be covered, nor the disks that the ISO unpacks to. Throws one error over all files that could
 * not be had, unless they may be missing.
 */
export async function fetchReleased(
  stream: Stream,
  arches: readonly Arch[],
  allowed: Allowance,
  options: DownloadOptions,
): Promise<void> {
  const { architectures } = await estimate(stream, { arches, folder: options.folder });
  const needed: StreamArtifact[] = architectures.flatMap(({ architecture, artifacts }) => {
    const wanted = new Set(
      artifacts
        .filter(({ fileAt, how }) => fileAt !== 'not-needed' && how !== 'uncovered')
        .map(idText),
    );
    return listArtifacts(stream, architecture).filter((artifact) => wanted.has(idText(artifact)));
  });
  const failures = await download(needed, options);
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
  throw kindError(kind, `${ours.length} files could not be fetched: ${lines.join('; ')}`, {
    code: 'DOWNLOADS',
    context: { folder: options.folder },
    hint: 'try again: what has arrived is kept; or allow their absence with --allow-missing',
    cause: new AggregateError(errors),
  });
}
