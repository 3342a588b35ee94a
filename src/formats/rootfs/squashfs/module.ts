import { readFileSync } from 'node:fs';
import * as v from 'valibot';
import { WebAssembly } from '../../../core/wasm/api.ts';
import { startModule } from '../../../core/wasm/start.ts';

/** The module's imports. Addresses are offsets into its memory. */
export interface SquashfsImports {
  /** Fills `to` from `offset` of the image. Its errors are thrown by the export that was called. */
  read(to: Uint8Array, offset: number): void;
  /** Unpacks a metadata block, to at most `limit` bytes. */
  unpack(stored: Uint8Array, limit: number): Uint8Array;
}

/** The exports of scripts/wasm/squashfs/src/lib.rs. */
export interface SquashfsExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  path(): number;
  max_path(): number;
  answer_at(): number;
  open(length: number): number;
  find(length: number): number;
  node(index: number): number;
  length(): number;
  block(node: number, index: number): number;
  fragment(index: number): number;
}

const exported = v.function();
const exportsSchema = v.object({
  memory: v.object({ buffer: v.instance(ArrayBuffer) }),
  _initialize: exported,
  path: exported,
  max_path: exported,
  answer_at: exported,
  open: exported,
  find: exported,
  node: exported,
  length: exported,
  block: exported,
  fragment: exported,
});

/** Compiled once per thread. */
let compiled: object | undefined;

/** A fresh instance, for one image. Its memory grows to 256 MiB at most, then it traps. */
export function instantiate({ read, unpack }: SquashfsImports): SquashfsExports {
  compiled ??= new WebAssembly.Module(readFileSync(new URL('wasm/squashfs.wasm', import.meta.url)));
  const host = {
    read_image(to: number, length: number, offset: number): void {
      read(new Uint8Array(exports.memory.buffer, to, length), offset);
    },
    unpack_metadata(from: number, length: number, to: number, limit: number): number {
      const { buffer } = exports.memory;
      const unpacked = unpack(new Uint8Array(buffer, from, length), limit);
      new Uint8Array(buffer, to, limit).set(unpacked);
      return unpacked.length;
    },
  };
  const exports: SquashfsExports = startModule(compiled, {
    ...{ name: 'squashfs.wasm', isExpected: isSquashfs, host },
  });
  return exports;
}

function isSquashfs(exports: unknown): exports is SquashfsExports & { _initialize(): void } {
  return v.is(exportsSchema, exports);
}
