import { UnsupportedError } from '../../core/errors.ts';
import { architecturesFailed } from '../../core/failures.ts';
import { shortName } from '../../release/stream/artifacts.ts';
import type { ArchOutcome, RehydrateReport } from './rehydrate.ts';

/**
 * The error for a report, or undefined if everything requested was made. An architecture fails by its own
 * error, or because the bundle does not cover all of it; skipped architectures do not count. If several
 * were requested, one error (`ARCHITECTURES_FAILED`) names all that failed.
 */
export function failureOf({ architectures }: RehydrateReport): unknown {
  const asked = architectures.filter(({ status }) => status !== 'left-out');
  const failures = asked.flatMap((outcome) => {
    const error = errorOf(outcome);
    return error === undefined ? [] : [{ architecture: outcome.architecture, error }];
  });
  if (asked.length === 1 || failures.length === 0) return failures[0]?.error;
  const names = failures.map(({ architecture }) => architecture).join(', ');
  const message = `${failures.length} of ${asked.length} architectures are not complete: ${names}`;
  return architecturesFailed(message, failures);
}

function errorOf({ status, error, uncovered }: ArchOutcome): unknown {
  if (status === 'failed') return error;
  if (uncovered.length === 0) return undefined;
  const names = uncovered.map((artifact) => shortName(artifact, uncovered)).join(', ');
  return new UnsupportedError(`done, except for images that the bundle does not cover: ${names}`, {
    code: 'ARTIFACT_MISSING',
    context: Object.fromEntries(uncovered.map(({ name, reason }) => [name, reason])),
    hint: 'download these from the release, or name only platforms that the bundle covers',
  });
}
