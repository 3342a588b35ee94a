/**
 * What the kernel and systemd print on the console goes between any two letters of what another program prints
 * there, each message up to the end of its line.
 */
const INTERRUPTIONS =
  /\[ *\d+\.\d{6}\](?:\[[ TC]*\d+\])? [^\n]*\n|\[(?: {2}OK {2}|FAILED|DEPEND| INFO | WARN | TIME | SKIP |\*{1,3} {0,4}| {1,5}\*{1,3} {0,4})\] [^\n]*\n| {9}(?:Starting|Stopping|Mounting|Unmounting|Activating|Expecting|Finished|Started) [^\n]*\n/g;

/** The text without messages of the kernel and of systemd, so that what they cut is in one piece again. */
export function withoutInterruptions(text: string): string {
  return text.replace(INTERRUPTIONS, '');
}
