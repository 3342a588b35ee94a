import { RehydrateError } from '../core/errors.ts';
import { partsOf } from '../core/failures.ts';
import { ours } from '../core/foreign-error.ts';
import { printable } from '../core/text/printable.ts';
import { type Paint, plain } from './color.ts';

export interface RenderErrorOptions {
  /** Add stack traces. */
  readonly debug: boolean;
  readonly paint?: Paint | undefined;
}

/**
 * What went wrong, where, and how to fix it, in lines that begin with `error:`, `where:`, `cause:` and
 * `fix:`, for each architecture or artifact that failed. The texts may come from hostile input, so control
 * characters are made visible.
 */
export function renderError(error: unknown, options: RenderErrorOptions): string {
  const parts = partsOf(error).map((part) => renderError(part, options));
  return renderOne(error, options) + parts.join('');
}

function renderOne(thrown: unknown, { debug, paint = plain }: RenderErrorOptions): string {
  const error = ours(thrown);
  const lines: string[] = [];
  if (error instanceof RehydrateError) {
    const [what = '', ...details] = error.message.split('\n');
    lines.push(`error: ${what} [${error.code}]`, ...details);
    for (const [name, value] of Object.entries(error.context)) {
      if (value !== undefined) lines.push(`where: ${name}: ${value}`);
    }
    const known = partsOf(error).length > 0 ? [] : causes(error.cause);
    lines.push(...known.map((message) => `cause: ${message}`));
    if (error.hint !== undefined) lines.push(`fix: ${error.hint}`);
  } else if (error instanceof AggregateError) {
    lines.push(`error: ${error.message}`);
  } else {
    lines.push(`error: internal error: ${messageOf(error)}`);
    lines.push('fix: this is a bug in iso-rehydrate; report it with the output of --debug');
  }
  if (debug && error instanceof Error && error.stack) lines.push(error.stack);
  // Hostile texts must not bring colours of their own.
  return `${lines.map((line) => labelled(printable(line), paint)).join('\n')}\n`;
}

const labelled = (line: string, paint: Paint) =>
  line.replace(/^(error|fix):/, (label, style) => paint(style, label));

/** The same for machines: one JSON object. */
export function errorEvent(
  thrown: unknown,
  options: RenderErrorOptions = { debug: false },
): Record<string, unknown> {
  const error = ours(thrown);
  const stack = options.debug && error instanceof Error ? { stack: error.stack } : {};
  const parts = partsOf(error).map((part) => errorEvent(part, options));
  const failures = parts.length > 0 ? { failures: parts } : {};
  if (!(error instanceof RehydrateError)) {
    const event = { kind: 'internal', code: 'INTERNAL', message: messageOf(error) };
    return { type: 'error', ...event, ...failures, ...stack };
  }
  const { kind, code, message, context, hint } = error;
  const known = parts.length > 0 ? failures : { causes: causes(error.cause) };
  return { type: 'error', kind, code, message, context, hint, ...known, ...stack };
}

/** Messages of the causes, outermost first, without those that only repeat earlier ones. */
function causes(cause: unknown, depth = 0): string[] {
  if (cause === undefined || cause === null || depth > 8) return [];
  if (cause instanceof AggregateError) return cause.errors.flatMap((one) => causes(one, depth + 1));
  const next = cause instanceof Error ? causes(cause.cause, depth + 1) : [];
  return [messageOf(cause), ...next];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
