import { setTimeout as sleep } from 'node:timers/promises';
import { throwIfAborted } from '../errors.ts';
import { BodyError } from './exchange.ts';
import { TransportError } from './transport-error.ts';

export interface RetryOptions {
  /** Tries before giving up. */
  readonly attempts?: number | undefined;
  /** Milliseconds to wait before the second try, more or less; twice as long before each one after. */
  readonly pause?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export const ATTEMPTS = 5;
export const PAUSE = 1000;
/** Milliseconds. A server that asks for a longer wait is an error that says so. */
const LONGEST = 120_000;

/** A status that may change later: RFC 9110, 15.5.9 and 15.6; RFC 6585, 4. */
export const isTransientStatus = (status: number): boolean =>
  [408, 425, 429, 500, 502, 503, 504].includes(status);

/** An answer that was refused for now. */
export class Refused extends TransportError {
  readonly status: number;
  /** Milliseconds that the server asks to wait. */
  readonly retryAfter: number | undefined;

  constructor(message: string, status: number, retryAfter: number | undefined) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Milliseconds that a server asks to wait. */
export const askedBy = (error: unknown): number | undefined =>
  error instanceof Refused ? error.retryAfter : undefined;

/** `Retry-After` in milliseconds from now: seconds or a date (RFC 9110, 10.2.3 and 5.6.7). */
export function retryAfterOf(
  { header }: { header(name: string): string | undefined },
  now = Date.now(),
): number | undefined {
  const value = header('retry-after')?.trim();
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  // All three forms of a date begin with a day of the week; the oldest one names no zone and means UTC.
  if (!/^(mon|tue|wed|thu|fri|sat|sun)[a-z]*,? /i.test(value)) return undefined;
  const date = Date.parse(/ GMT$/i.test(value) ? value : `${value} GMT`);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/**
 * Waits before the try that follows the given number of failures: as long as the server asks, or else longer each
 * time, with some chance in it, so that many clients do not come back together. Throws the error at once if it is
 * not to be tried again, or if the server asks for too long a time.
 */
export async function backOff(
  error: unknown,
  failures: number,
  {
    attempts = ATTEMPTS,
    pause = PAUSE,
    asked = askedBy(error),
    signal,
  }: RetryOptions & { readonly asked?: number | undefined },
): Promise<void> {
  throwIfAborted(signal);
  if (failures >= attempts || (asked !== undefined && asked > LONGEST)) throw error;
  const own = pause * 2 ** (failures - 1) * (0.75 + Math.random() / 2);
  const wait = Math.min(LONGEST, Math.max(own, asked ?? 0));
  await sleep(wait, undefined, signal ? { signal } : {}).catch(() => {});
  throwIfAborted(signal);
}

export const isTransient = (error: unknown): boolean =>
  error instanceof TransportError && !(error instanceof BodyError) && error.transient;

/** Repeats until it succeeds, or fails permanently. */
export async function withRetries<T>(
  options: RetryOptions,
  attempt: () => Promise<T>,
  isWorthIt: (error: unknown) => boolean = isTransient,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      throwIfAborted(options.signal);
      if (!isWorthIt(error)) throw error;
      await backOff(error, failures, options);
    }
  }
}
