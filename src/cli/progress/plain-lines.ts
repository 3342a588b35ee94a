import { formatBytes } from '../../core/text/bytes.ts';
import { printable } from '../../core/text/printable.ts';
import { labelOf } from './label.ts';
import { PHASE_WORDS } from './phase-words.ts';
import type { ProgressRenderer } from './renderer.ts';

/** One line for each phase, note and end: for logs. */
export function plainLines(write: (text: string) => void): ProgressRenderer {
  const line = (subject: string, text: string) =>
    write(`${printable(`${subject}: ${text}`).replaceAll('\n', ' ')}\n`);
  return {
    report(event) {
      const label = labelOf(event);
      switch (event.type) {
        case 'phase': {
          const size = event.total === undefined ? '' : ` (${formatBytes(event.total)})`;
          line(label, `${PHASE_WORDS[event.phase]}${size}`);
          return;
        }
        case 'note':
          line(label, `note: ${event.message}`);
          return;
        case 'done':
          line(label, `done in ${event.seconds.toFixed(1)} s`);
          return;
        case 'failed':
          line(label, `failed: ${event.message}`);
          return;
        case 'advance':
          return;
      }
    },
    aside: (body) => body(),
    [Symbol.dispose]: () => {},
  };
}
