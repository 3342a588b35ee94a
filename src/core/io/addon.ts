import { createRequire } from 'node:module';

const load = createRequire(import.meta.url);

/** A module loaded by `require` at the first call; undefined if it is not installed or does not load on this host. */
export function optionalAddon<T>(require: (load: NodeJS.Require) => T): () => T | undefined {
  let loaded: { readonly addon: T | undefined } | undefined;
  return () => {
    if (loaded === undefined) {
      try {
        loaded = { addon: require(load) };
      } catch {
        // An optional dependency: not every host has a prebuilt binary of it, and each caller has another way.
        loaded = { addon: undefined };
      }
    }
    return loaded.addon;
  };
}
