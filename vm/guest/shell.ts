import { type Mark, printMark } from './frame.ts';
import { withoutInterruptions } from './interruptions.ts';

/**
 * From the login prompt to a shell that takes commands.
 *
 * On the live system's console getty logs in `core`, a user that may use sudo without a password.
 */

/** The text that agetty prints on the live system's console once the system is up. */
const READY = 'login: core (automatic login)';
/** A message may cut it in two, and another one that in two again: a third of it is still in one piece. */
const PIECE = 10;
const PIECES = Array.from({ length: READY.length - PIECE + 1 }, (_, i) =>
  READY.slice(i, i + PIECE),
);
/** Characters at the end of the text in which it is looked for: it and what has cut it. */
const WINDOW = 64 << 10;

/**
 * Whether the system is up, by its console's text so far. A piece of the mark will do: knocking too early does no
 * harm, and only a shell can answer.
 */
export function isReady(text: string): boolean {
  const recent = text.slice(-WINDOW);
  return [recent, withoutInterruptions(recent)].some((seen) =>
    PIECES.some((piece) => seen.includes(piece)),
  );
}

/** A line that is safe to repeat until the mark is printed. */
export function knock(mark: Mark): string {
  return ` ${printMark(mark)}`;
}

/**
 * Replaces the interactive shell by a root shell that has no prompt, no line editor and no echo: a
 * loop that evaluates one line at a time. Prints `ready`, or `refused` when sudo wants a password; three times,
 * because a message may cut one in two.
 */
export function becomeRoot(ready: Mark, refused: Mark): string {
  const loop = `while IFS= read -r c; do eval "$c"; done`;
  const thrice = (mark: Mark) => Array(3).fill(printMark(mark)).join('; ');
  const inner = `export TERM=dumb LC_ALL=C; unset HISTFILE; ${thrice(ready).replaceAll("'", '"')}; ${loop}`;
  return ` stty -echo; sudo -n sh -c '${inner}' || { ${thrice(refused)}; }`;
}
