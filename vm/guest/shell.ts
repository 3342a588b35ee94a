import { type Mark, printMark } from './frame.ts';

/**
 * From the login prompt to a shell that takes commands.
 *
 * On the live system's console getty logs in `core`, a user that may use sudo without a password.
 */

/** The text that agetty prints on the live system's console once the system is up. */
export const READY = /login: core \(automatic login\)/;

/** A line that is safe to repeat until the mark is printed. */
export function knock(mark: Mark): string {
  return ` ${printMark(mark)}`;
}

/**
 * Replaces the interactive shell by a root shell that has no prompt, no line editor and no echo: a
 * loop that evaluates one line at a time. Prints `ready`, or `refused` when sudo wants a password.
 */
export function becomeRoot(ready: Mark, refused: Mark): string {
  const loop = `while IFS= read -r c; do eval "$c"; done`;
  const inner = `export TERM=dumb LC_ALL=C; unset HISTFILE; ${printMark(ready).replaceAll("'", '"')}; ${loop}`;
  return ` stty -echo; sudo -n sh -c '${inner}' || ${printMark(refused)}`;
}
