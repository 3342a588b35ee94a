import { printable } from '../../core/text/printable.ts';
import { labelOf } from './label.ts';
import { factsOf, forget, type PhaseState, type Running } from './phase-state.ts';
import { PHASE_WORDS } from './phase-words.ts';
import type { ProgressRenderer } from './renderer.ts';

/** Milliseconds between two redraws, at least. */
const FRAME = 100;
/** Milliseconds after which the clock ticks, whether anything has happened or not. */
const TICK = 1000;
/** Facts of this weight stay as long as there is room for this much of the label. */
const ESSENTIAL = 2;
const MIN_LABEL = 12;
/** ECMA-48: go to the start of the line and erase it; go up one line. */
const ERASE_LINE = '\r\x1b[2K';
const LINE_UP = '\x1b[1A';

/** One status line per running subject, redrawn in place; finished subjects and notes scroll away. */
export function statusLines(
  write: (text: string) => void,
  columns: () => number,
  now: () => number = () => performance.now(),
): ProgressRenderer {
  const running: Running = new Map();
  let drawn = 0;
  let timer: NodeJS.Timeout | undefined;

  const erase = () => {
    if (drawn > 0) write(ERASE_LINE + (LINE_UP + ERASE_LINE).repeat(drawn - 1));
    drawn = 0;
  };
  const draw = () => {
    timer = undefined;
    erase();
    const width = Math.max(20, columns() - 1);
    const lines = [...running].map(([label, state]) => statusText(label, state, now(), width));
    write(lines.join('\n'));
    drawn = lines.length;
  };
  const drawSoon = () => {
    timer ??= setTimeout(draw, FRAME);
  };
  const clock = setInterval(() => {
    if (running.size > 0) drawSoon();
  }, TICK);
  clock.unref();
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
          forget(running, label, event);
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
      clearInterval(clock);
      if (timer) clearTimeout(timer);
      erase();
      running.clear();
    },
  };
}

/**
 * `qemu: patching  42 %  630.0 MiB of 1.5 GiB  310.2 MiB/s  3 s left`, in at most `width` characters: first what
 * weighs least is left out, then the label is cut.
 */
export function statusText(
  label: string,
  state: PhaseState,
  now: number,
  width = Number.POSITIVE_INFINITY,
): string {
  const head = printable(`${label}: ${PHASE_WORDS[state.phase]}`).replaceAll('\n', ' ');
  let facts = factsOf(state, now);
  const text = () => facts.map((fact) => `  ${fact.text}`).join('');
  while (facts.length > 1) {
    const least = Math.min(...facts.map(({ weight }) => weight));
    // Rather a label cut short than no percentage.
    const wanted = least < ESSENTIAL ? head.length : Math.min(head.length, MIN_LABEL);
    if (wanted + text().length <= width) break;
    facts = facts.filter(({ weight }) => weight !== least);
  }
  const room = width - text().length;
  const start = head.length <= room ? head : `${head.slice(0, Math.max(0, room - 1))}…`;
  return (start + text()).slice(0, width);
}
