/**
 * Scopes of Docker's "Token Scope": `repository:name:pull,push`. A token is asked for all that was needed so far, so
 * that one for looking does not take the place of one for writing.
 */
export function mergeScopes(...all: readonly string[]): string[] {
  const actions = new Map<string, Set<string>>();
  for (const scope of all.flatMap((text) => text.split(/\s+/)).filter(Boolean)) {
    const [, resource = scope, wanted] = /^(.+):([^:]*)$/.exec(scope) ?? [];
    const known = actions.get(resource) ?? new Set();
    for (const action of wanted?.split(',').filter(Boolean) ?? []) known.add(action);
    actions.set(resource, known);
  }
  return [...actions].map(([resource, known]) =>
    known.size === 0 ? resource : `${resource}:${[...known].join(',')}`,
  );
}
