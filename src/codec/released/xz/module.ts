import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { WebAssembly } from '../../../core/wasm/api.ts';
import { startModule } from '../../../core/wasm/start.ts';
import type { Liblzma } from '../layer.ts';

/** The exports of scripts/wasm/xz.c. Addresses are offsets into `memory`. */
export interface LzmaExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  input(): number;
  output(): number;
  bufferSize(): number;
  start(preset: number): number;
  feed(length: number): void;
  step(finish: number): number;
  crc64(length: number, before: bigint): bigint;
}

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
  crc64: exported,
});

const isLzma = (exports: unknown): exports is LzmaExports & { _initialize(): void } =>
  v.is(exportsSchema, exports);

const instances = new Map<Liblzma, Promise<LzmaExports>>();

/** This thread's own instance, for one stream at a time: it keeps the memory of the one before. */
export function sharedLzma(library: Liblzma): Promise<LzmaExports> {
  let instance = instances.get(library);
  if (instance === undefined) {
    instance = instantiate(library);
    instances.set(library, instance);
  }
  return instance;
}

async function instantiate(library: Liblzma): Promise<LzmaExports> {
  const name = `${library}.wasm`;
  const bytes = await readFile(new URL(`wasm/${name}`, import.meta.url));
  return startModule(await WebAssembly.compile(bytes), { name, isExpected: isLzma });
}
