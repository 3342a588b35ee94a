import type { Arch } from '../../core/arch.ts';
import type { Phase } from '../../core/progress/progress.ts';
import { formatBytes } from '../../core/text/bytes.ts';
import { printable } from '../../core/text/printable.ts';
import { labelOf } from './label.ts';
import { PHASE_WORDS } from './phase-words.ts';
import type { ProgressRenderer } from './renderer.ts';

/** Milliseconds between two redraws, at least. */
const FRAME = 100;
/** ECMA-48: go to the start of the line and erase it; go up one line. */
const ERASE_LINE = '\r\x1b[2K';
const LINE_UP = '\x1b[1A';

interface Running {
  readonly architecture: Arch | undefined;
  phase: Phase;
  since: number;
  done: number | undefined;
  total: number | undefined;
}

/** One status line per running subject, redrawn in place; finished subjects and notes scroll away. */
export function statusLines(
  write: (text: string) => void,
  columns: () => number,
  now: () => number = () => performance.now(),
): ProgressRenderer {
  const running = new Map<string, Running>();
  let drawn = 0;
  let timer: NodeJS.Timeout | undefined;

  const erase = () => {
    if (drawn > 0) write(ERASE_LINE + (LINE_UP + ERASE_LINE).repeat(drawn - 1));
    drawn = 0;
  };
  const draw = () => {
    timer = undefined;
    erase();
    const lines = [...running].map(([label, state]) =>
      statusText(label, state, now()).slice(0, Math.max(20, columns() - 1)),
    );
    write(lines.join('\n'));
    drawn = lines.length;
  };
  const drawSoon = () => {
    timer ??= setTimeout(draw, FRAME);
  };
  const scroll = (text: string) => {
    erase();
    write(`${printable(text).replaceAll('\n', ' ')}\n`);
    drawSoon();
  };

  return {
    report(event) {
      const label = labelOf(event);
      switch (event.type) {
        case 'phase': {
          const { phase, total, architecture } = event;
          running.set(label, { architecture, phase, total, done: undefined, since: now() });
          drawSoon();
          return;
        }
        case 'advance': {
          const state = running.get(label);
          if (state === undefined) return;
          state.done = event.done;
          state.total = event.total ?? state.total;
          drawSoon();
          return;
        }
        case 'note':
          scroll(`${label}: ${event.message}`);
          return;
        case 'failed':
          running.delete(label);
          if (event.subject === event.architecture) {
            for (const [other, { architecture }] of running) {
              if (architecture === event.architecture) running.delete(other);
            }
          }
          scroll(`${label}: failed: ${event.message}`);
          return;
        case 'done': {
          const phase = running.get(label)?.phase;
          running.delete(label);
          const what = phase === undefined ? 'done' : PHASE_WORDS[phase];
          scroll(`${label}: ${what}, ${event.seconds.toFixed(1)} s`);
          return;
        }
      }
    },
    aside(body) {
      erase();
      body();
      drawSoon();
    },
    [Symbol.dispose]() {
      if (timer) clearTimeout(timer);
      erase();
      running.clear();
    },
  };
}

/** `qemu: patching  42 %  630.0 MiB of 1.5 GiB  310.2 MiB/s` */
export function statusText(
  label: string,
  { phase, since, done, total }: Omit<Running, 'architecture'>,
  now: number,
): string {
  const seconds = (now - since) / 1000;
  const parts = [printable(`${label}: ${PHASE_WORDS[phase]}`).replaceAll('\n', ' ')];
  if (done !== undefined && total) {
    const percent = Math.min(100, Math.floor((done / total) * 100));
    parts.push(`${String(percent).padStart(3)} %`, `${formatBytes(done)} of ${formatBytes(total)}`);
  } else if (done !== undefined) {
    parts.push(formatBytes(done));
  } else {
    parts.push(`${seconds.toFixed(0)} s`);
  }
  if (done !== undefined && seconds >= 0.5) parts.push(`${formatBytes(done / seconds)}/s`);
  return parts.join('  ');
}
