import { type ArchWork, chooseWork, type WorkRequest } from '../../bundle/work.ts';
import { UnsupportedError } from '../../core/errors.ts';
import type { Progress } from '../../core/progress/progress.ts';

/**
 * The part of a bundle to push or pull. Throws what {@link chooseWork} throws, and UnsupportedError
 * `ARTIFACT_MISSING` if the bundle lists everything requested as missing.
 */
export function choosePart(request: WorkRequest, progress: Progress): readonly ArchWork[] {
  const { architectures } = chooseWork(request, progress);
  const [missing] = architectures.flatMap(({ uncovered }) => uncovered);
  if (missing && architectures.every(({ artifacts }) => artifacts.length === 0)) {
    throw new UnsupportedError(`the bundle has none of these: ${missing.reason}`, {
      code: 'ARTIFACT_MISSING',
      context: { bundle: request.bundle.path, artifact: missing.name },
      hint: 'choose another --platform; `inspect` lists what is there',
    });
  }
  return architectures;
}
