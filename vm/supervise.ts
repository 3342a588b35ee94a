/** What the program may use at most; the kernel enforces it (setrlimit(2)). */
export interface ResourceLimits {
  /** Size of the largest file that it may write, bytes. */
  readonly fileSize: number;
  /** Address space, bytes. */
  readonly memory: number;
  /** Processor time. */
  readonly seconds: number;
}

/** How a program is started, and what it may do. */
export interface Supervision {
  /** File for the program's standard error. */
  readonly stderr: string;
  readonly parentPid: number;
  /** setpriv (util-linux >= 2.33) is there. */
  readonly setpriv: boolean;
  /** `unshare` (util-linux) with arguments that leave a program no network, if this host lets us; else empty. */
  readonly unshare?: readonly string[];
  readonly limits?: ResourceLimits | undefined;
  /** Standard input is a pipe that the parent holds open, and the program leads a process group of its own. */
  readonly lifeline?: boolean;
}

/**
 * A command line that ties a program's life to ours, however we end.
 *
 * `setpriv --pdeathsig KILL` asks the kernel to kill the program when its parent dies, SIGKILL included;
 * the shell between them closes the gap in which the parent may already be gone, and moves standard error
 * to a file of its own, off the terminal. Both replace themselves with the program, so the process id stays
 * the same. unshare comes first, because new credentials reset that signal (commit_creds in Linux's kernel/cred.c). Without setpriv, a terminal's SIGHUP ends the program; where it has no terminal of ours, a
 * second shell waits for the end of the lifeline and kills the group, whose number nobody else can
 * have as long as that shell is in it.
 */
export function supervisedArgv(
  program: string,
  args: readonly string[],
  { stderr, parentPid, setpriv, unshare = [], limits, lifeline = false }: Supervision,
): [file: string, args: string[]] {
  const guard = lifeline && !setpriv ? GUARD : '';
  const script = `[ "$PPID" = "$2" ] || exit 125; exec 2>"$1"; shift 2; ${limitsScript(limits)}${guard}exec "$@"`;
  const shell = ['sh', '-c', script, 'sh', stderr, `${parentPid}`, program, ...args];
  const own = setpriv ? ['setpriv', '--pdeathsig', 'KILL', '--', ...shell] : shell;
  const [file = 'sh', ...rest] = unshare.length > 0 ? [...unshare, '--', ...own] : own;
  return [file, rest];
}

/** A host whose own limits are lower refuses to raise them: then they stay. Units are POSIX's, and every shell's. */
function limitsScript(limits: ResourceLimits | undefined): string {
  if (limits === undefined) return '';
  const { fileSize, memory, seconds } = limits;
  const values = { c: 0, f: Math.ceil(fileSize / 512), v: Math.ceil(memory / 1024), t: seconds };
  return Object.entries(values)
    .map(([letter, value]) => `ulimit -${letter} ${value} 2>/dev/null; `)
    .join('');
}

/** `$$` is the program's number, in the second shell too. */
const GUARD =
  'exec 3<&0 </dev/null; { cat >/dev/null; kill -s KILL -- "-$$"; } <&3 2>/dev/null & exec 3<&-; ';
