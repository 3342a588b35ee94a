import { labelOf } from './label.ts';
import type { ProgressRenderer } from './renderer.ts';

/** Milliseconds between two `advance` events of the same subject, at least. */
const INTERVAL = 200;

/** Only the events that say more than how far the work is. */
export function noteLines(write: (text: string) => void): ProgressRenderer {
  const all = jsonLines(write);
  return {
    ...all,
    report(event) {
      if (event.type === 'note' || event.type === 'failed') all.report(event);
    },
  };
}

/** Every event as one line of JSON; `advance` events are thinned out. */
export function jsonLines(
  write: (text: string) => void,
  now: () => number = () => performance.now(),
): ProgressRenderer {
  const last = new Map<string, number>();
  return {
    report(event) {
      const label = labelOf(event);
      if (event.type === 'advance') {
        const complete = event.total !== undefined && event.done >= event.total;
        const time = now();
        if (!complete && time - (last.get(label) ?? -INTERVAL) < INTERVAL) return;
        last.set(label, time);
      } else if (event.type !== 'note') {
        last.delete(label);
      }
      write(`${JSON.stringify(event)}\n`);
    },
    aside: (body) => body(),
    [Symbol.dispose]: () => {},
  };
}
