import { readFile } from 'node:fs/promises';
import { zstdDecompressSync } from 'node:zlib';
import * as v from 'valibot';
import { WebAssembly } from '../../core/wasm/api.ts';
import { startModule } from '../../core/wasm/start.ts';
import { type GoImplementation, type Implementation, isGo } from './implementations.ts';

/** The exports of scripts/wasm/deflate.c, and of go/main.go. Addresses are offsets into `memory`. */
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

const compiled = new Map<string, Promise<object>>();

/** The files in `wasm/`. Those in Go carry its runtime, which compresses well. */
const FILES: Readonly<Record<GoImplementation, string>> = {
  'go-1.26': 'klauspost-1.18.6.wasm.zst',
  'klauspost-1.17.11': 'klauspost-1.17.11.wasm.zst',
  'klauspost-1.18.6': 'klauspost-1.18.6.wasm.zst',
};

export function fileOf(implementation: Implementation): string {
  return isGo(implementation) ? FILES[implementation] : `${implementation}.wasm`;
}

async function compile(file: string): Promise<object> {
  const bytes = await readFile(new URL(`wasm/${file}`, import.meta.url));
  return WebAssembly.compile(file.endsWith('.zst') ? zstdDecompressSync(bytes) : bytes);
}

/**
 * A fresh instance. Of those in C, it takes some 3 MiB, which never grow; of those in Go, some 30 MiB. Each is
 * compiled once per thread.
 */
export async function instantiate(implementation: Implementation): Promise<DeflateExports> {
  const file = fileOf(implementation);
  let module = compiled.get(file);
  if (module === undefined) {
    module = compile(file);
    compiled.set(file, module);
  }
  return startModule(await module, { name: file, isExpected: isDeflate });
}

function isDeflate(exports: unknown): exports is DeflateExports & { _initialize(): void } {
  return v.is(exportsSchema, exports);
}
