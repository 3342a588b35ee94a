import { partsOf } from '../core/arch-failures.ts';
import { RehydrateError } from '../core/errors.ts';
import { printable } from '../core/text/printable.ts';

export interface RenderErrorOptions {
  /** Add stack traces. */
  readonly debug: boolean;
}

/**
 * What went wrong, where, and how to mend it, in lines that begin with `error:`, `where:`, `cause:`
 * and `fix:`; where several architectures failed, such lines for each of them. Texts may come from
 * hostile input: control characters are made visible.
 */
export function renderError(error: unknown, options: RenderErrorOptions): string {
  return [error, ...partsOf(error)].map((one) => renderOne(one, options)).join('');
}

function renderOne(error: unknown, { debug }: RenderErrorOptions): string {
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
  return `${lines.map(printable).join('\n')}\n`;
}

/** The same for machines: one JSON object. */
export function errorEvent(error: unknown): Record<string, unknown> {
  const parts = partsOf(error).map(errorEvent);
  const failures = parts.length > 0 ? { failures: parts } : {};
  if (!(error instanceof RehydrateError)) {
    const event = { kind: 'internal', code: 'INTERNAL', message: messageOf(error) };
    return { type: 'error', ...event, ...failures };
  }
  const { kind, code, message, context, hint } = error;
  const known = parts.length > 0 ? failures : { causes: causes(error.cause) };
  return { type: 'error', kind, code, message, context, hint, ...known };
}

/** Messages of the causes, outermost first; those that only repeat what was said are left out. */
function causes(cause: unknown, depth = 0): string[] {
  if (cause === undefined || cause === null || depth > 8) return [];
  if (cause instanceof AggregateError) return cause.errors.flatMap((one) => causes(one, depth + 1));
  const next = cause instanceof Error ? causes(cause.cause, depth + 1) : [];
  return [messageOf(cause), ...next];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
