import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import type { Implementation } from './implementations.ts';

/** The exports of scripts/wasm/deflate.c. Addresses are offsets into `memory`. */
export interface DeflateExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  input(): number;
  output(): number;
  bufferSize(): number;
  start(level: number, windowBits: number, memLevel: number, strategy: number): number;
  feed(length: number): void;
  step(flush: number): number;
  /** Only zlib's own module has it. */
  inflate?(length: number, room: number, windowBits: number): number;
}

/** The little that we need of an API whose types TypeScript has in its DOM library only. */
interface WebAssemblyApi {
  compile(bytes: Uint8Array): Promise<object>;
  Instance: new (module: object, imports: object) => { readonly exports: unknown };
}
const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyApi };

const exported = v.function();
const exportsSchema = v.object({
  memory: v.object({ buffer: v.instance(ArrayBuffer) }),
  _initialize: exported,
  input: exported,
  output: exported,
  bufferSize: exported,
  start: exported,
  feed: exported,
  step: exported,
  inflate: v.optional(exported),
});

const compiled = new Map<Implementation, Promise<object>>();

/** A fresh instance, some 3 MiB; its memory never grows. Each is compiled once per thread. */
export async function instantiate(implementation: Implementation): Promise<DeflateExports> {
  let module = compiled.get(implementation);
  if (module === undefined) {
    module = readFile(new URL(`wasm/${implementation}.wasm`, import.meta.url)).then((bytes) =>
      WebAssembly.compile(bytes),
    );
    compiled.set(implementation, module);
  }
  const { exports } = new WebAssembly.Instance(await module, {});
  if (!isDeflate(exports)) throw new TypeError(`${implementation}.wasm is not ours`);
  exports._initialize();
  return exports;
}

function isDeflate(exports: unknown): exports is DeflateExports & { _initialize(): void } {
  return v.is(exportsSchema, exports);
}
