import type { Arch } from '../../core/arch.ts';
import type { Phase } from '../../core/progress/progress.ts';
import { formatBytes } from '../../core/text/bytes.ts';

/** The phase that a subject is in, and how far. Times in milliseconds, of one clock. */
export interface PhaseState {
  readonly phase: Phase;
  readonly since: number;
  readonly done: number | undefined;
  readonly total: number | undefined;
}

/** Phases under way, by label, with a renderer's own data about each. */
export type Running<T extends object = object> = Map<
  string,
  T & { -readonly [K in keyof PhaseState]: PhaseState[K] } & {
    readonly architecture: Arch | undefined;
  }
>;

/** Removes a failed subject; if it is an architecture, all of its subjects too. */
export function forget(
  running: Running,
  label: string,
  event: { readonly subject: string; readonly architecture?: Arch },
): void {
  running.delete(label);
  if (event.subject !== event.architecture) return;
  for (const [other, { architecture }] of running) {
    if (architecture === event.architecture) running.delete(other);
  }
}

/** Milliseconds after which a rate says something, and a time left. */
const RATE_FROM = 500;
const LEFT_FROM = 2000;

/** One fact about a phase. Where there is too little room, those that weigh least are left out. */
export interface Fact {
  readonly text: string;
  readonly weight: number;
}

/** Percentage, bytes, rate and time left, as far as they are known; else the time that has passed. */
export function factsOf({ since, done, total }: PhaseState, now: number): Fact[] {
  const passed = now - since;
  if (done === undefined) return [{ text: duration(passed / 1000), weight: 3 }];
  const rate = passed >= RATE_FROM ? done / (passed / 1000) : 0;
  const speed = rate > 0 ? [{ text: `${formatBytes(rate)}/s`, weight: 1 }] : [];
  if (!total) return [{ text: formatBytes(done), weight: 3 }, ...speed];
  const share = Math.min(1, done / total);
  const facts = [
    { text: `${String(Math.floor(share * 100)).padStart(3)} %`, weight: 3 },
    { text: `${formatBytes(done)} of ${formatBytes(total)}`, weight: 0 },
    ...speed,
  ];
  if (rate > 0 && passed >= LEFT_FROM && share < 1) {
    facts.push({ text: `${duration((total - done) / rate)} left`, weight: 2 });
  }
  return facts;
}

/** `7 s`, `2:05 min`, `1:03 h`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const [unit, of] = whole < 3600 ? [60, 'min'] : [3600, 'h'];
  const rest = Math.floor(((whole % unit) / unit) * 60);
  return `${Math.floor(whole / unit)}:${String(rest).padStart(2, '0')} ${of}`;
}
