import { WebAssembly } from './api.ts';
import { wasi } from './wasi.ts';

interface Started {
  readonly memory: { readonly buffer: ArrayBuffer };
  _initialize(): void;
}

/**
 * A new instance of a compiled module, its runtime ready. `host` are functions of ours that it imports. Throws
 * TypeError unless its exports are the expected ones.
 */
export function startModule<T>(
  module: object,
  {
    name,
    isExpected,
    host = {},
  }: {
    readonly name: string;
    readonly isExpected: (exports: unknown) => exports is T & Started;
    readonly host?: object;
  },
): T {
  const system = wasi();
  const { exports } = new WebAssembly.Instance(module, { ...system.imports, host });
  if (!isExpected(exports)) throw new TypeError(`${name} has unexpected exports`);
  system.bind(exports.memory);
  exports._initialize();
  return exports;
}
