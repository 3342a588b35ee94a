/**
 * The choice that somebody most likely meant by a name that is none: another spelling of it (`QEMU`,
 * `metal4k` for `metal/4k.raw`), or a typo (`qemuu`). Undefined if none is near.
 */
export function didYouMean(name: string, choices: Iterable<string>): string | undefined {
  const wanted = plain(name);
  if (wanted === '') return undefined;
  let best: string | undefined;
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const choice of choices) {
    const there = plain(choice);
    const away = there === wanted ? 0 : Math.max(1, distance(wanted, there));
    if (away < least) [best, least] = [choice, away];
  }
  if (best !== undefined && least <= 1) return best;
  // The beginning of a longer name says more than a near miss of a short one.
  const longer = [...choices].find(
    (choice) => wanted.length > 4 && plain(choice).startsWith(wanted),
  );
  return longer ?? best;
}

/** Ready to be put before a hint, or empty. */
export function suggestion(name: string, choices: Iterable<string>): string {
  const meant = didYouMean(name, choices);
  return meant === undefined ? '' : `did you mean ${meant}? `;
}

const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/** Changes, insertions, deletions and swaps of neighbours that make `a` of `b`. */
function distance(a: string, b: string): number {
  // Names are short; a hostile one is not worth the time.
  if (Math.abs(a.length - b.length) > 8 || a.length > 64) return Number.POSITIVE_INFINITY;
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number) => rows[i]?.[j] ?? 0;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min(
        at(i - 1, j) + 1,
        (row[j - 1] ?? 0) + 1,
        at(i - 1, j - 1) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, at(i - 2, j - 2) + 1);
      }
      row.push(least);
    }
  }
  return at(a.length, b.length);
}
