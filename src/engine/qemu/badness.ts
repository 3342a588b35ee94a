/**
 * Console output after which waiting is pointless. After kola's list (coreos-assembler
 * `mantle/kola/harness.go`, `consoleChecks`), without entries that matter only to an operating system's own
 * tests, plus messages of a failing live ISO.
 */
export interface Badness {
  /** Reads as a cause: "the VM failed: <name>". */
  readonly name: string;
  /** Tested against single console lines. */
  readonly match: RegExp;
}

export const BADNESS: readonly Badness[] = [
  { name: 'kernel panic', match: /Kernel panic - not syncing/ },
  {
    name: 'kernel oops',
    match: /\b(?:Oops|Internal error): |kernel BUG at |general protection fault/,
  },
  { name: 'out of memory', match: /invoked oom-killer|Out of memory: Killed process/ },
  {
    name: 'emergency shell',
    match:
      /Press Enter for emergency shell|Starting (?:\S+ - )?Emergency Shell|You are in emergency mode|Entering emergency mode|Cannot open access to console, the root account is locked/,
  },
  {
    name: 'dracut gave up',
    match: /dracut: (?:FATAL: |Refusing to continue)|dracut-initqueue\S* timed out/,
  },
  {
    name: 'initramfs shell',
    match: /^\(initramfs\) |ALERT! .* does not exist\. {2}Dropping to a shell/,
  },
  {
    name: 'disk I/O error',
    match:
      /I\/O error, dev (?!fd|sr)|rejecting I\/O to offline device|Buffer I\/O error on dev (?!fd|sr)/,
  },
  {
    name: 'unreadable live file system',
    match: /SQUASHFS error|erofs: .*(?:corrupt|failed to)|EROFS-fs error/,
  },
  { name: 'systemd ordering cycle', match: /Ordering cycle found/ },
  {
    name: 'systemd generator failure',
    match:
      /\/system-generators\/\S+ (?:failed with exit status|terminated by signal|failed due to)/,
  },
  { name: 'systemd froze', match: /systemd\[1\]: Freezing execution|Failed to execute \/init/ },
];

/** The first entry of the list that a console line matches. */
export function findBadness(line: string): Badness | undefined {
  return BADNESS.find((badness) => badness.match.test(line));
}
