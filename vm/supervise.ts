/**
 * A command line that ties a program's life to ours, however we end.
 *
 * `setpriv --pdeathsig KILL` asks the kernel to kill the program when its parent dies, SIGKILL included;
 * the shell between them closes the gap in which the parent may already be gone, and moves standard error
 * to a file of its own, off the terminal. Both replace themselves with the program, so the process id stays
 * the same. If setpriv (util-linux >= 2.33) is missing, only the SIGHUP of the closed terminal ends the
 * program.
 */
export function supervisedArgv(
  program: string,
  args: readonly string[],
  options: { readonly stderr: string; readonly parentPid: number; readonly setpriv: boolean },
): [file: string, args: string[]] {
  const script = '[ "$PPID" = "$2" ] || exit 125; exec 2>"$1"; shift 2; exec "$@"';
  const shell = [
    'sh',
    '-c',
    script,
    'sh',
    options.stderr,
    `${options.parentPid}`,
    program,
    ...args,
  ];
  return options.setpriv
    ? ['setpriv', ['--pdeathsig', 'KILL', '--', ...shell]]
    : ['sh', shell.slice(1)];
}
