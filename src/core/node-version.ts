/** The oldest Node.js that has what we use, such as zstd. */
const WANTED = [22, 18] as const;

/**
 * What to say on a Node.js that is too old; undefined if it is not. Whoever asks must not import anything else before:
 * an old Node fails to link modules that name what it lacks, with a SyntaxError.
 */
export function nodeProblem(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > WANTED[0] || (major === WANTED[0] && minor >= WANTED[1])) return undefined;
  return `iso-rehydrate needs Node.js ${WANTED.join('.')} or newer; this is ${version}`;
}
