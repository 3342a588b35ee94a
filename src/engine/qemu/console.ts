import { closeSync, openSync, writeSync } from 'node:fs';
import xterm from '@xterm/headless';
import { isMarkLine } from '../../../vm/guest/frame.ts';
import { withoutInterruptions } from '../../../vm/guest/interruptions.ts';
import { createPlainText } from './plain-text.ts';

/** A condition to wait for on the console, which yields a value. */
export interface Wait<T> {
  /** Called for each chunk with all text since the start of the wait. */
  match(text: string): T | undefined;
}

export interface Console {
  /** Bytes from the guest. */
  receive(chunk: Uint8Array): void;
  /** Position in the console's text, to wait from. */
  position(): number;
  /** Resolves with the first match after `from`. Never rejects, so race it. */
  waitFor<T>(wait: Wait<T>, from: number): Promise<T>;
  /** Stops answering terminal queries, for the time after login, when none come. */
  stopTerminal(): void;
  /** The last `count` lines that are neither empty nor our own marks. */
  lastLines(count: number): string[];
  close(): void;
}

export interface ConsoleOptions {
  /** Gets the raw bytes, up to {@link MAX_LOG}. */
  readonly logPath: string;
  /** Terminal answers for the guest. */
  readonly reply: (data: string) => void;
  /** Each finished line of plain text. */
  readonly onLine: (line: string) => void;
}

/** A guest that prints without end must not fill the host's disk or memory. */
export const MAX_LOG = 16 << 20;
const MAX_TEXT = 256 << 10;
const MAX_LINES = 200;
const MAX_LINE = 1000;
/** Bytes by which the terminal emulator may lag; beyond that it misses queries. */
const MAX_TERMINAL_BACKLOG = 256 << 10;
/** Limits for the bytes that it reads and answers, far above the needs of a boot. */
const MAX_FED = 8 << 20;
const MAX_REPLIES = 16 << 10;

/**
 * The guest's serial console: a bounded log file, a window of plain text to search, the last lines
 * for error messages, and a terminal that answers what systemd and agetty ask (`ESC[6n` and others;
 * without an answer each waits for a timeout).
 */
export function createConsole(options: ConsoleOptions): Console {
  const log = openSync(options.logPath, 'wx', 0o600);
  const plain = createPlainText();
  const lines: string[] = [];
  const waits = new Set<() => boolean>();
  let terminal: Terminal | undefined = createTerminal(options.reply);
  let logged = 0;
  let text = '';
  let dropped = 0;
  let partial = '';
  let closed = false;

  const writeLog = (chunk: Uint8Array) => {
    const room = MAX_LOG - logged;
    if (room <= 0) return;
    logged += chunk.length;
    try {
      writeSync(log, chunk.length <= room ? chunk : chunk.subarray(0, room));
      if (chunk.length > room) writeSync(log, '\n[iso-rehydrate: log cut here]\n');
    } catch {
      logged = MAX_LOG; // the disk is full: the run does not need the log, and writing its disks will report it
    }
  };

  const takeLines = (added: string): string[] => {
    const parts = (partial + added).split('\n');
    partial = (parts.pop() ?? '').slice(0, MAX_LINE);
    const finished = parts.map((line) => line.slice(0, MAX_LINE));
    lines.push(...finished.filter((line) => line.trim() !== '' && !isMarkLine(line)));
    lines.splice(0, Math.max(0, lines.length - MAX_LINES));
    return finished;
  };

  return {
    receive(chunk) {
      if (closed) return;
      writeLog(chunk);
      terminal?.feed(chunk);
      const added = plain(chunk);
      text += added;
      // Check the waits before the lines: success counts even if the same chunk has a complaint.
      for (const wait of [...waits]) if (wait()) waits.delete(wait);
      if (text.length > MAX_TEXT) {
        dropped += text.length - MAX_TEXT / 2;
        text = text.slice(-MAX_TEXT / 2);
      }
      for (const line of takeLines(added)) options.onLine(line);
    },
    position: () => dropped + text.length,
    waitFor: <T>(wait: Wait<T>, from: number) =>
      new Promise<T>((resolve) => {
        const attempt = () => {
          const found = wait.match(text.slice(Math.max(0, from - dropped)));
          if (found !== undefined) resolve(found);
          return found !== undefined;
        };
        if (!attempt()) waits.add(attempt);
      }),
    stopTerminal() {
      terminal?.dispose();
      terminal = undefined;
    },
    lastLines: (count) => [...lines, ...(partial.trim() === '' ? [] : [partial])].slice(-count),
    close() {
      if (closed) return;
      closed = true;
      terminal?.dispose();
      closeSync(log);
    },
  };
}

interface Terminal {
  feed(chunk: Uint8Array): void;
  dispose(): void;
}

function createTerminal(reply: (data: string) => void): Terminal {
  const terminal = new xterm.Terminal({
    cols: 80,
    rows: 24,
    scrollback: 0,
    allowProposedApi: true,
    // It would log complaints about a guest's output to our standard error.
    logLevel: 'off',
  });
  let replied = 0;
  terminal.onData((data) => {
    replied += data.length;
    if (replied <= MAX_REPLIES) reply(data);
  });
  let backlog = 0;
  let fed = 0;
  return {
    feed(chunk) {
      if (backlog > MAX_TERMINAL_BACKLOG || fed > MAX_FED) return;
      fed += chunk.length;
      backlog += chunk.length;
      terminal.write(chunk, () => {
        backlog -= chunk.length;
      });
    },
    dispose: () => terminal.dispose(),
  };
}

/** Waits for a regular expression. */
export function pattern(expression: RegExp): Wait<RegExpExecArray> {
  return { match: (text) => expression.exec(text) ?? undefined };
}

/** Characters at the end of the text in which a word is looked for that messages have cut. */
const TAIL = 4096;

/** Waits for the first of the words, even if messages interrupt it; resolves with it. */
export function anyOf<W extends string>(...words: readonly W[]): Wait<W> {
  const find = (text: string) => words.find((word) => text.includes(word));
  return { match: (text) => find(text) ?? find(withoutInterruptions(text.slice(-TAIL))) };
}
