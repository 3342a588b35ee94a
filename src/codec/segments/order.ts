/** Raw bytes that may be read of the disk before their turn in the file comes. */
export const MAX_HELD_BYTES = 64 << 20;

/**
 * How many pieces are in memory at once when they are read off a disk front to back and wanted in another
 * order; infinite if one is wanted twice. Writers with several threads leave pieces near their order, and so
 * do those that keep what does not deflate apart.
 *
 * @param numbers pieces of the disk, in the order of the file
 * @param ascending the same in the order of the disk
 */
export function mostHeld(numbers: ArrayLike<number>, ascending: ArrayLike<number>): number {
  let passed = 0;
  let most = 0;
  for (let taken = 0; taken < numbers.length; taken++) {
    const number = numbers[taken] ?? 0;
    while (passed < ascending.length && (ascending[passed] ?? 0) <= number) passed++;
    most = Math.max(most, passed - taken);
  }
  for (let i = 1; i < ascending.length; i++) {
    if (ascending[i] === ascending[i - 1]) return Number.POSITIVE_INFINITY;
  }
  return most;
}
