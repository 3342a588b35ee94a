/**
 * Messages of live systems when something is wrong. After kola's list (coreos-assembler `mantle/kola/harness.go`,
 * `consoleChecks`), without entries that matter only to an operating system's own tests, plus messages of a
 * failing live ISO.
 */
export interface Badness {
  /** Reads as a cause: "the VM failed: <name>". */
  readonly name: string;
  /** Tested against single console lines. */
  readonly match: RegExp;
  /** After this, waiting is pointless. After anything else the system may still come up, and then there is no harm. */
  readonly ends: boolean;
}

export const BADNESS: readonly Badness[] = [
  { name: 'kernel panic', match: /Kernel panic - not syncing/, ends: true },
  {
    name: 'emergency shell',
    match:
      /Press Enter for emergency shell|Starting (?:\S+ - )?(?:Dracut )?Emergency Shell|You are in emergency mode|Entering emergency mode|Cannot open access to console, the root account is locked/,
    ends: true,
  },
  { name: 'dracut gave up', match: /dracut: (?:FATAL: |Refusing to continue)/, ends: true },
  {
    name: 'initramfs shell',
    match: /^\(initramfs\) |ALERT! .* does not exist\. {2}Dropping to a shell/,
    ends: true,
  },
  {
    name: 'systemd froze',
    match: /systemd\[1\]: Freezing execution|Failed to execute \/init, giving up/,
    ends: true,
  },
  {
    name: 'kernel oops',
    match: /\b(?:Oops|Internal error): |kernel BUG at |general protection fault/,
    ends: false,
  },
  {
    name: 'out of memory',
    match: /invoked oom-killer|Out of memory: Killed process/,
    ends: false,
  },
  { name: 'slow initramfs', match: /dracut-initqueue\S* timed? ?out/, ends: false },
  {
    name: 'disk I/O error',
    match:
      /I\/O error, dev (?!fd|sr)|rejecting I\/O to offline device|Buffer I\/O error on dev (?!fd|sr)/,
    ends: false,
  },
  {
    name: 'unreadable live file system',
    match: /SQUASHFS error|erofs: .*(?:corrupt|failed to)|EROFS-fs error/,
    ends: false,
  },
  { name: 'systemd ordering cycle', match: /Ordering cycle found/, ends: false },
  {
    name: 'systemd generator failure',
    match:
      /\/system-generators\/\S+ (?:failed with exit status|terminated by signal|failed due to)/,
    ends: false,
  },
];

/** The first entry of the list that a console line matches. */
export function findBadness(line: string): Badness | undefined {
  return BADNESS.find((badness) => badness.match.test(line));
}

/** A bad line that the guest printed. */
export interface Complaint {
  readonly badness: Badness;
  readonly line: string;
}

/** Judges a guest by its console. */
export interface Judge {
  /** News in this line: a message that ends the run, or the first complaint of its kind. */
  take(line: string): Complaint | undefined;
  /** The first complaint of each kind so far. */
  readonly complaints: readonly Complaint[];
}

export function createJudge(): Judge {
  const complaints = new Map<string, Complaint>();
  return {
    take(line) {
      const badness = findBadness(line);
      if (badness === undefined) return undefined;
      const complaint = { badness, line: line.trim() };
      if (badness.ends) return complaint;
      if (complaints.has(badness.name)) return undefined;
      complaints.set(badness.name, complaint);
      return complaint;
    },
    get complaints() {
      return [...complaints.values()];
    },
  };
}
