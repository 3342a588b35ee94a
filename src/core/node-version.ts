/** The oldest Node.js with all features that we use, such as zstd. */
const WANTED = [22, 18] as const;

/**
 * The error for a Node.js that is too old; undefined if it is new enough. Callers must not import anything else first:
 * with a SyntaxError, an old Node refuses to link modules that import functions that it lacks.
 */
export function nodeProblem(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > WANTED[0] || (major === WANTED[0] && minor >= WANTED[1])) return undefined;
  return `iso-rehydrate needs Node.js ${WANTED.join('.')} or newer; this is ${version}`;
}
