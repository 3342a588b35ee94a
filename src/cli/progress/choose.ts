import type { CliIo } from '../io.ts';
import type { OutputOptions } from '../option-groups.ts';
import { jsonLines, noteLines } from './json-lines.ts';
import { plainLines } from './plain-lines.ts';
import type { ProgressRenderer } from './renderer.ts';
import { statusLines } from './status-lines.ts';

/**
 * JSON lines, status lines on a terminal, plain lines elsewhere. `--quiet` leaves nothing of them, and of JSON lines
 * what a script must not miss: notes and failures.
 */
export function progressRenderer(options: OutputOptions, io: CliIo): ProgressRenderer {
  const write = (text: string) => {
    io.stderr.write(text);
  };
  if (options.json) return options.quiet ? noteLines(write) : jsonLines(write);
  if (options.quiet) return nothing;
  return io.isTerminal ? statusLines(write, io.columns) : plainLines(write);
}

const nothing: ProgressRenderer = {
  report: () => {},
  aside: (write) => write(),
  [Symbol.dispose]: () => {},
};
