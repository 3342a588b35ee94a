import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

/** Typed arrays of words over bytes: their values depend on the byte order of the host, those of a DataView do not. */
const HOST_ORDER =
  /new (?:Uint16|Int16|Uint32|Int32|BigUint64|BigInt64|Float32|Float64)Array\([\w.!?]*\.buffer\b|\bendianness\(\)/g;

const hostOrder = (text: string): string[] => text.match(HOST_ORDER) ?? [];

test('finds words that are read in the byte order of the host', () => {
  expect(hostOrder('new Int32Array(block.buffer, block.byteOffset, 4)')).toHaveLength(1);
  expect(hostOrder('new Uint16Array(exports.memory.buffer)')).toHaveLength(1);
  expect(hostOrder('new Int32Array(slots); new Uint8Array(memory.buffer, 0)')).toEqual([]);
});

test('no code reads or writes bytes in the byte order of the host', () => {
  const found: string[] = [];
  for (const room of ['src', 'vm', 'images', 'scripts/fixture']) {
    for (const name of readdirSync(join(ROOT, room), { recursive: true }).map(String)) {
      if (!/\.[cm]?ts$/.test(name)) continue;
      const text = readFileSync(join(ROOT, room, name), 'utf8');
      for (const one of hostOrder(text)) found.push(`${room}/${name}: ${one}`);
    }
  }
  expect(found).toEqual([]);
});
