import { type ArchWork, chooseWork, type WorkRequest } from '../../bundle/work.ts';
import { UnsupportedError } from '../../core/errors.ts';
import type { Progress } from '../../core/progress/progress.ts';

/**
 * The part of a bundle that a push or pull is about. Throws what {@link chooseWork} throws, and UnsupportedError
 * `ARTIFACT_MISSING` if the bundle knows all of what is asked for, but has none of it.
 */
export function choosePart(request: WorkRequest, progress: Progress): readonly ArchWork[] {
  const { architectures } = chooseWork(request, progress);
  const [missing] = architectures.flatMap(({ uncovered }) => uncovered);
  if (missing && architectures.every(({ artifacts }) => artifacts.length === 0)) {
    throw new UnsupportedError(`the bundle has nothing of this: ${missing.reason}`, {
      code: 'ARTIFACT_MISSING',
      context: { bundle: request.bundle.path, artifact: missing.name },
      hint: 'choose another --platform; `inspect` lists what is there',
    });
  }
  return architectures;
}
