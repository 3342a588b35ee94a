/** How the program's standard input is used. */
export interface Supervision {
  /** File for the program's standard error. */
  readonly stderr: string;
  readonly parentPid: number;
  /** setpriv (util-linux >= 2.33) is there. */
  readonly setpriv: boolean;
  /** Standard input is a pipe that the parent holds open, and the program leads a process group of its own. */
  readonly lifeline?: boolean;
}

/**
 * A command line that ties a program's life to ours, however we end.
 *
 * `setpriv --pdeathsig KILL` asks the kernel to kill the program when its parent dies, SIGKILL included;
 * the shell between them closes the gap in which the parent may already be gone, and moves standard error
 * to a file of its own, off the terminal. Both replace themselves with the program, so the process id stays
 * the same. Without setpriv, a terminal's SIGHUP ends the program; where it has no terminal of ours, a
 * second shell waits for the end of the lifeline and kills the group, whose number nobody else can
 * have as long as that shell is in it.
 */
export function supervisedArgv(
  program: string,
  args: readonly string[],
  { stderr, parentPid, setpriv, lifeline = false }: Supervision,
): [file: string, args: string[]] {
  const guard = lifeline && !setpriv ? GUARD : '';
  const script = `[ "$PPID" = "$2" ] || exit 125; exec 2>"$1"; shift 2; ${guard}exec "$@"`;
  const shell = ['sh', '-c', script, 'sh', stderr, `${parentPid}`, program, ...args];
  return setpriv ? ['setpriv', ['--pdeathsig', 'KILL', '--', ...shell]] : ['sh', shell.slice(1)];
}

/** `$$` is the program's number, in the second shell too. */
const GUARD =
  'exec 3<&0 </dev/null; { cat >/dev/null; kill -s KILL -- "-$$"; } <&3 2>/dev/null & exec 3<&-; ';
