import * as v from 'valibot';
import { ARCHITECTURES } from '../../core/arch.ts';
import { PHASES } from '../../core/progress/progress.ts';

const bytes = v.pipe(v.number(), v.integer(), v.minValue(0));
const seconds = v.pipe(v.number(), v.minValue(0));
const architecture = v.picklist(ARCHITECTURES);
const phase = v.picklist(PHASES);

/** `architecture` is there if a run has several. */
const subject = { subject: v.string(), architecture: v.optional(architecture) } as const;

const error = {
  type: v.literal('error'),
  kind: v.string(),
  code: v.pipe(v.string(), v.regex(/^[A-Z][A-Z0-9_]*$/)),
  message: v.string(),
  context: v.optional(v.record(v.string(), v.unknown())),
  hint: v.optional(v.string()),
  /** Messages of what led to it, the nearest first. */
  causes: v.optional(v.array(v.string())),
  stack: v.optional(v.string()),
};
const failure = v.object({
  ...error,
  /** Errors of the parts of the work, each like this one. */
  failures: v.optional(v.array(v.object(error))),
});

/**
 * A line that `--json` writes to stderr; published as `events.schema.json`. Later versions may add fields, types and
 * phases; they do not change those that are here.
 */
export const eventSchema = v.variant('type', [
  v.object({ type: v.literal('phase'), ...subject, phase, total: v.optional(bytes) }),
  v.object({
    type: v.literal('advance'),
    ...subject,
    phase,
    done: bytes,
    total: v.optional(bytes),
  }),
  v.object({ type: v.literal('note'), ...subject, message: v.string() }),
  v.object({ type: v.literal('done'), ...subject, seconds }),
  v.object({ type: v.literal('failed'), ...subject, message: v.string() }),
  failure,
  v.object({
    type: v.literal('summary'),
    architectures: v.array(
      v.object({
        architecture,
        status: v.picklist(['done', 'failed', 'left-out']),
        /** Files written, and files that were already there. */
        written: bytes,
        present: bytes,
        size: bytes,
        seconds,
        engine: v.optional(v.object({ engine: v.string(), detail: v.string() })),
        uncovered: v.array(
          v.object({
            ...{ platform: v.string(), format: v.string(), file: v.string(), name: v.string() },
            reason: v.string(),
          }),
        ),
        error: v.optional(failure),
      }),
    ),
  }),
]);
