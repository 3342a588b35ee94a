import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect } from 'vitest';
import { memorySource } from '../../src/core/io/memory-source.ts';
import { openRootFiles } from '../../src/formats/rootfs/index.ts';
import type { RootFile, RootFiles, Unit } from '../../src/formats/rootfs/root-files.ts';
import { unpackUnit } from '../../src/formats/rootfs/unpack-unit.ts';

/** Some bytes in front of the image, as in an ISO. */
const START = 1000;

/** Opens an image inside a larger file. */
export function openImage(image: Uint8Array): { root: RootFiles; iso: Uint8Array } {
  const iso = Buffer.concat([Buffer.alloc(START, 0x55), image]);
  const extent = { path: 'root.img', offset: START, length: image.length };
  return { root: openRootFiles(memorySource(iso), extent), iso };
}

/** The bytes `[start, end)` of a file; zeros past its end. */
export function readRootFile(iso: Uint8Array, file: RootFile, start = 0, end = file.size): Buffer {
  const bytes = Buffer.alloc(end - start);
  for (const { start: at, length, unit, unitOffset } of file.pieces(start, end)) {
    const stored = iso.subarray(unit.offset, unit.offset + unit.stored);
    const unpacked = unpackUnit(unit, stored);
    for (let i = Math.max(at, start); i < Math.min(at + length, end); i++) {
      bytes[i - start] = unpacked[unitOffset + i - at] ?? 0;
    }
  }
  return bytes;
}

/** Checks that any part of a file reads as expected, and that its pieces do not overlap. */
export function expectParts({ root, iso }: ReturnType<typeof openImage>, path: string): void {
  const file = root.find(path);
  if (file === undefined) throw new Error(`no ${path}`);
  const whole = readRootFile(iso, file);
  fc.assert(
    fc.property(fc.nat(file.size - 1), fc.nat(70_000), (start, length) => {
      const end = Math.min(start + length, file.size);
      expect(readRootFile(iso, file, start, end).equals(whole.subarray(start, end))).toBe(true);
      let last = 0;
      for (const piece of file.pieces(start, end)) {
        expect(piece.start).toBeGreaterThanOrEqual(last);
        last = piece.start + piece.length;
      }
    }),
    { numRuns: 20 },
  );
}

/** Bytes of a file that an extent of an osmet might name. A mutated size may claim a terabyte. */
const END = 100_000;

type Unpack = (unit: Unit, stored: Uint8Array) => void;

/**
 * Looks up all files, finds where their first and last bytes are, and unpacks those, as the native engine
 * does for extents. Returns the number of pieces.
 */
export function readEnds(
  image: Uint8Array,
  paths: readonly string[],
  unpack: Unpack = unpackUnit,
): number {
  const { root, iso } = openImage(image);
  let pieces = 0;
  for (const path of paths) {
    const file = root.find(path);
    if (file === undefined) continue;
    for (const start of new Set([0, Math.max(0, file.size - END)])) {
      for (const { unit } of file.pieces(start, Math.min(start + END, file.size))) {
        pieces++;
        unpack(unit, iso.subarray(unit.offset, unit.offset + unit.stored));
      }
    }
  }
  return pieces;
}

/** For {@link readEnds} of mutations of `image`: unpacks the pieces that the mutation changed. */
export function unpackChanged(image: Uint8Array, paths: readonly string[]): Unpack {
  const known = new Map<string, Buffer>();
  readEnds(image, paths, (unit, stored) => known.set(JSON.stringify(unit), Buffer.from(stored)));
  return (unit, stored) => {
    if (!known.get(JSON.stringify(unit))?.equals(stored)) unpackUnit(unit, stored);
  };
}

/** Path and SHA-256 of each file of the golden trees, by coreutils. */
export function listedFiles(tree = 'tree'): [path: string, sha256: string][] {
  const list = readFileSync(new URL(`../golden/rootfs/${tree}.sha256`, import.meta.url), 'utf8');
  return list
    .trim()
    .split('\n')
    .map((line) => [line.slice(68), line.slice(0, 64)]);
}
