import type { CliIo } from '../io.ts';
import type { OutputOptions } from '../option-groups.ts';
import { jsonLines } from './json-lines.ts';
import { plainLines } from './plain-lines.ts';
import type { ProgressRenderer } from './renderer.ts';
import { statusLines } from './status-lines.ts';

/** JSON lines, status lines on a terminal, plain lines elsewhere, or notes only. */
export function progressRenderer(options: OutputOptions, io: CliIo): ProgressRenderer {
  const write = (text: string) => {
    io.stderr.write(text);
  };
  if (options.json) return jsonLines(write);
  if (options.quiet) return nothing;
  return io.isTerminal ? statusLines(write, io.columns) : plainLines(write);
}

const nothing: ProgressRenderer = {
  report: () => {},
  aside: (write) => write(),
  [Symbol.dispose]: () => {},
};
