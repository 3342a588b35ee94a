import { formatBytes } from '../../core/text/bytes.ts';
import { printable } from '../../core/text/printable.ts';
import { labelOf } from './label.ts';
import { factsOf, forget, type Running } from './phase-state.ts';
import { PHASE_WORDS } from './phase-words.ts';
import type { ProgressRenderer } from './renderer.ts';

/** Milliseconds after which a phase that is still under way gets another line. */
const INTERVAL = 30_000;
/** Milliseconds between two looks. */
const LOOK = 1000;

/** For logs: one line per phase, note and end, and every 30 seconds one with the progress of a phase. */
export function plainLines(
  write: (text: string) => void,
  now: () => number = () => performance.now(),
): ProgressRenderer {
  const running: Running<{ said: number }> = new Map();
  const line = (subject: string, text: string) =>
    write(`${printable(`${subject}: ${text}`).replaceAll('\n', ' ')}\n`);
  const clock = setInterval(() => {
    for (const [label, state] of running) {
      if (now() - state.said < INTERVAL) continue;
      state.said = now();
      const facts = factsOf(state, now()).map(({ text }) => text.trim());
      line(label, `${PHASE_WORDS[state.phase]}: ${facts.join(', ')}`);
    }
  }, LOOK);
  clock.unref();
  return {
    report(event) {
      const label = labelOf(event);
      switch (event.type) {
        case 'phase': {
          const { phase, total, architecture } = event;
          const since = now();
          running.set(label, { architecture, phase, total, done: undefined, since, said: since });
          const size = total === undefined ? '' : ` (${formatBytes(total)})`;
          line(label, `${PHASE_WORDS[phase]}${size}`);
          return;
        }
        case 'note':
          line(label, `note: ${event.message}`);
          return;
        case 'done':
          running.delete(label);
          line(label, `done in ${event.seconds.toFixed(1)} s`);
          return;
        case 'failed':
          forget(running, label, event);
          line(label, `failed: ${event.message}`);
          return;
        case 'advance': {
          const state = running.get(label);
          if (state === undefined) return;
          state.done = event.done;
          state.total = event.total ?? state.total;
          return;
        }
      }
    },
    aside: (body) => body(),
    [Symbol.dispose]: () => clearInterval(clock),
  };
}
