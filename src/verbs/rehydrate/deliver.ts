import type { Writable } from 'node:stream';
import type { RecipeArtifact } from '../../bundle/recipes.ts';
import { baseOf } from '../../bundle/recipes.ts';
import { CancelledError, FormatError, IntegrityError } from '../../core/errors.ts';
import { writeAtomically } from '../../core/io/atomic.ts';
import { osError } from '../../core/io/os-error.ts';
import { type Sink, streamSink } from '../../core/io/sink.ts';
import type { Bases } from './bases.ts';
import type { PlannedFile } from './output.ts';
import { tarWriter } from './tar.ts';

/** How an artifact got to where it is. */
export interface Outcome {
  /** Undefined if it went to a stream. */
  readonly path: string | undefined;
  /** `present`: the file was there already, and was read and proven. */
  readonly status: 'written' | 'present';
  /** Seconds to write and verify it, bases not counted. */
  readonly seconds: number;
}

export interface Job {
  /** Makes and proves an artifact; resolves to the seconds that took. */
  make(artifact: RecipeArtifact, sink: Sink): Promise<number>;
  finished(artifact: RecipeArtifact, outcome: Outcome): void;
  readonly bases: Bases;
  readonly force: boolean;
  readonly signal: AbortSignal | undefined;
}

export async function deliverFiles(planned: readonly PlannedFile[], job: Job): Promise<void> {
  const { make, finished, bases, force, signal } = job;
  for (const { artifact, path, present } of planned) {
    if (present) {
      finished(artifact, { path, status: 'present', seconds: 0 });
      continue;
    }
    const write = () =>
      writeAtomically(path, (sink) => make(artifact, sink), { signal, overwrite: force });
    let seconds: number;
    try {
      seconds = await write();
    } catch (error) {
      // A wrong output may be due to a cached disk that rotted: then once more, with a new disk.
      if (!isDoubtful(error)) throw error;
      if (!(await bases.doubt(baseOf(artifact), { secondTry: true }))) throw error;
      seconds = await write();
    }
    finished(artifact, { path, status: 'written', seconds });
  }
}

/** Artifacts on their way into one stream. */
export interface StreamDelivery extends AsyncDisposable {
  /** Sends them in order; one call at a time. */
  deliver(artifacts: readonly RecipeArtifact[], job: Job): Promise<void>;
  /** Marks the end. A tar that broke off stays visibly cut off. */
  finish(): Promise<void>;
}

/**
 * One artifact (`count`) goes out as it is, several as a tar. What is in the pipe cannot be taken back: an
 * artifact that fails half-way spoils what would come after it, which `onBroken` is told.
 */
export function streamDelivery(
  stream: Writable,
  count: number,
  onBroken: (reason: CancelledError) => void,
): StreamDelivery {
  const tar = count === 1 ? undefined : tarWriter(stream);
  let broken = false;
  return {
    async deliver(artifacts, job) {
      try {
        for (const artifact of artifacts) {
          let seconds = 0;
          const body = async (sink: Sink) => {
            seconds = await send(artifact, sink, job);
          };
          await (tar ? tar.add(artifact.name, artifact.size, body) : body(streamSink(stream)));
          job.finished(artifact, { path: undefined, status: 'written', seconds });
        }
      } catch (error) {
        broken = true;
        onBroken(
          new CancelledError('the output stream broke off before it', {
            code: 'STREAM_BROKEN',
            cause: error,
          }),
        );
        throw osError(error, 'write to', 'the output stream');
      }
    },
    async finish() {
      if (broken) return;
      await tar?.finish().catch((error: unknown) => {
        throw osError(error, 'write to', 'the output stream');
      });
    },
    async [Symbol.asyncDispose]() {
      await tar?.[Symbol.asyncDispose]();
    },
  };
}

/** The next run shall not meet the same bad disk, even if this one cannot be saved. */
async function send(artifact: RecipeArtifact, sink: Sink, { make, bases }: Job): Promise<number> {
  try {
    return await make(artifact, sink);
  } catch (error) {
    if (isDoubtful(error)) await bases.doubt(baseOf(artifact), { secondTry: false });
    throw error;
  }
}

function isDoubtful(error: unknown): boolean {
  return error instanceof IntegrityError || error instanceof FormatError;
}
