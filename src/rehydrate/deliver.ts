import type { Writable } from 'node:stream';
import type { RecipeArtifact } from '../bundle/recipes.ts';
import { FormatError, IntegrityError } from '../errors.ts';
import { writeAtomically } from '../io/atomic.ts';
import { osError } from '../io/os-error.ts';
import { type Sink, streamSink } from '../io/sink.ts';
import type { Bases } from './bases.ts';
import type { PlannedFile } from './output.ts';
import { tarWriter } from './tar.ts';
import { baseOf } from './write-artifact.ts';

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

/** One artifact goes out as it is, several as a tar. */
export async function deliverStream(
  artifacts: readonly RecipeArtifact[],
  stream: Writable,
  job: Job,
): Promise<void> {
  try {
    await sendAll(artifacts, stream, job);
  } catch (error) {
    throw osError(error, 'write to', 'the output stream');
  }
}

async function sendAll(
  artifacts: readonly RecipeArtifact[],
  stream: Writable,
  { make, finished, bases }: Job,
): Promise<void> {
  // What is in the pipe cannot be taken back; but the next run shall not meet the same bad disk.
  const send = async (artifact: RecipeArtifact, sink: Sink) => {
    try {
      return await make(artifact, sink);
    } catch (error) {
      if (isDoubtful(error)) await bases.doubt(baseOf(artifact), { secondTry: false });
      throw error;
    }
  };
  const [first, ...others] = artifacts;
  if (first !== undefined && others.length === 0) {
    const seconds = await send(first, streamSink(stream));
    finished(first, { path: undefined, status: 'written', seconds });
    return;
  }
  await using tar = tarWriter(stream);
  for (const artifact of artifacts) {
    let seconds = 0;
    await tar.add(artifact.name, artifact.size, async (sink) => {
      seconds = await send(artifact, sink);
    });
    finished(artifact, { path: undefined, status: 'written', seconds });
  }
  await tar.finish();
}

function isDoubtful(error: unknown): boolean {
  return error instanceof IntegrityError || error instanceof FormatError;
}
