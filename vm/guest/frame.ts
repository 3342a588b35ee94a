import { withoutInterruptions } from './interruptions.ts';

/**
 * Commands over a shared line: the terminal echoes and wraps our input, and the kernel and services print
 * in between. So each command's output lies between two marks that nothing can guess, typed in halves so
 * that their own echo never matches, and the exit status is read from the end mark. The end mark is sent
 * three times: a kernel message may cut one in two.
 */
export interface Mark {
  readonly left: string;
  readonly right: string;
}

export interface Frame {
  /** One line to type, without the line feed. */
  readonly line: string;
  readonly begin: string;
  readonly end: string;
}

export interface CommandResult {
  readonly status: number;
  /** Standard output and standard error, as printed. */
  readonly output: string;
}

/** A terminal in canonical mode cuts longer lines off (N_TTY_BUF_SIZE). */
const MAX_LINE = 4095;

/** `entropy` is at least 16 random hex digits. */
export function createMark(entropy: string): Mark {
  if (!/^[0-9a-f]{16,}$/.test(entropy)) throw new Error('a mark needs random hex digits');
  const half = entropy.length >> 1;
  return { left: entropy.slice(0, half), right: entropy.slice(half) };
}

/** Prints the mark without containing it in one piece. */
export function printMark(mark: Mark, suffix = ''): string {
  return `printf '\\n%s%s${suffix}\\n' ${mark.left} ${mark.right}`;
}

export const spell = (mark: Mark): string => mark.left + mark.right;

/** Frames one line of shell `script`; it runs in a subshell with no standard input. */
export function frame(script: string, begin: Mark, end: Mark): Frame {
  if (/[\n\r]/.test(script)) throw new Error('a framed script is one line');
  const ends = Array(3).fill(`printf '\\n%s%s:%s;\\n' ${end.left} ${end.right} "$r"`).join('; ');
  const line = `${printMark(begin)}; ( ${script} ) </dev/null 2>&1; r=$?; ${ends}`;
  if (Buffer.byteLength(line) > MAX_LINE) throw new Error('script too long for a terminal line');
  return { line, begin: spell(begin), end: spell(end) };
}

/** Characters at the end of the text in which an end mark is looked for that messages have cut. */
const TAIL = 4096;

/** The result, once the end mark is in `text`, be it cut by messages; the output is without those. */
export function matchFrame(frame: Frame, text: string): CommandResult | undefined {
  const end = new RegExp(`${frame.end}:(\\d{1,3});`);
  const tail = withoutInterruptions(text.slice(-TAIL));
  if (!end.test(text) && !end.test(tail)) return undefined;
  const whole = withoutInterruptions(text);
  const match = end.exec(whole) ?? end.exec(text) ?? end.exec(tail);
  if (match === null) return undefined;
  const seen = match.input;
  const begin = seen.lastIndexOf(frame.begin, match.index);
  const start = begin < 0 ? 0 : begin + frame.begin.length;
  return { status: Number(match[1]), output: seen.slice(start, match.index).trim() };
}

/** Whether a console line is one of our marks, which mean nothing to people. */
export function isMarkLine(line: string): boolean {
  return /^[0-9a-f]{24}(?::\d+;)?$/.test(line.trim());
}

/** A word of POSIX shell, whatever is in `text`. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
