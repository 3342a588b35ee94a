import { closeSync, writeSync } from 'node:fs';

/**
 * Limit for bytes that the guest has not read yet. Our lines and the answers to its terminal queries are
 * short; a guest that does not read gets no more.
 */
export const MAX_UNREAD = 64 << 10;
const FIRST_PAUSE_MS = 5;
const LAST_PAUSE_MS = 200;

export interface TerminalWriter {
  /** Queues `data`, whole or not at all; false if too much waits already. */
  write(data: string): boolean;
  /** Bytes that wait. */
  readonly unread: number;
  close(): void;
}

/**
 * Writes to a terminal's master without blocking. libuv treats terminals as blocking and would retry a
 * stalled write forever, ignoring signals; here the rest is written later.
 *
 * @param own a descriptor that nobody else closes, not even with the terminal: its number may be another file's then.
 * Negative if there is none. This closes it.
 */
export function createTerminalWriter(own: number): TerminalWriter {
  let queue: Buffer[] = [];
  let unread = 0;
  let pause = FIRST_PAUSE_MS;
  let timer: NodeJS.Timeout | undefined;
  let closed = own < 0;

  const drain = () => {
    timer = undefined;
    while (!closed && queue[0] !== undefined) {
      const [chunk] = queue;
      let written: number;
      try {
        written = writeSync(own, chunk);
      } catch (error) {
        const full = error instanceof Error && 'code' in error && error.code === 'EAGAIN';
        if (!full) return close(); // the other end is gone, which its exit reports
        written = 0;
      }
      unread -= written;
      if (written === chunk.length) queue.shift();
      else queue[0] = chunk.subarray(written);
      if (written > 0) pause = FIRST_PAUSE_MS;
      if (written < chunk.length) {
        timer = setTimeout(drain, pause);
        pause = Math.min(pause * 2, LAST_PAUSE_MS);
        return;
      }
    }
  };

  function close() {
    clearTimeout(timer);
    queue = [];
    unread = 0;
    if (!closed) closeSync(own);
    closed = true;
  }

  return {
    write(data) {
      const chunk = Buffer.from(data);
      if (closed || unread + chunk.length > MAX_UNREAD) return false;
      queue.push(chunk);
      unread += chunk.length;
      if (timer === undefined) drain();
      return true;
    },
    get unread() {
      return unread;
    },
    close,
  };
}
