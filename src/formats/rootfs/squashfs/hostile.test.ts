import { zstdCompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { openImage } from '../../../../test/support/root-files.ts';

/** Images that mutations do not come upon: small ones that ask for much. All metadata is stored as it is. */
interface Tree {
  /** Number, type and name of what each listing has. */
  readonly listings: readonly (readonly [number, number, string][])[];
  /** The listing of each folder, whose numbers count from 1. */
  readonly folders: readonly number[];
  /** Of the file that the listings may name, bytes. */
  readonly size?: bigint;
}

const FOLDER = 1;
const FILE = 2;
const EXTENDED_FOLDER = 8;
const EXTENDED_FILE = 9;
const MAX_RUN = 256;
const METADATA = 8192;
const SUPERBLOCK = 96;
const NONE = 0xffffffff;
const NO_TABLE = 2n ** 64n - 1n;

const u16 = (...values: number[]) => Buffer.from(Uint16Array.from(values).buffer);
const u32 = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);
const u64 = (...values: bigint[]) => Buffer.from(BigUint64Array.from(values).buffer);

function metadata(bytes: Buffer): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += METADATA) {
    const block = bytes.subarray(at, at + METADATA);
    blocks.push(u16(block.length | 0x8000), block);
  }
  return Buffer.concat(blocks);
}

function listing(entries: Tree['listings'][number]): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < entries.length; at += MAX_RUN) {
    const run = entries.slice(at, at + MAX_RUN);
    const [first = 0] = run[0] ?? [];
    parts.push(u32(run.length - 1, 0, first));
    for (const [inode, type, name] of run) {
      parts.push(u16(0, inode - first, type, name.length - 1), Buffer.from(name));
    }
  }
  return Buffer.concat(parts);
}

/** One file, with a number behind those of the folders, whose blocks nobody has told. */
function image({ listings, folders, size = 0n }: Tree): Buffer {
  const texts = listings.map(listing);
  let end = 0;
  const starts = texts.map(({ length }) => {
    end += length;
    return end - length;
  });
  const header = (type: number, number: number) => [u16(type, 0o755, 0, 0), u32(0, number)];
  const inodes = folders.flatMap((index, i) => {
    const start = starts[index] ?? 0;
    const block = Math.floor(start / METADATA) * (METADATA + 2);
    return [
      ...header(EXTENDED_FOLDER, i + 1),
      u32(2, (texts[index]?.length ?? 0) + 3, block, 1),
      u16(0, start % METADATA),
      u32(NONE),
    ];
  });
  const file = [
    ...header(EXTENDED_FILE, folders.length + 1),
    u64(0n, size, 0n),
    u32(1, NONE, 0, NONE),
  ];
  const inodeTable = metadata(Buffer.concat([...inodes, ...file]));
  const directoryTable = metadata(Buffer.concat(texts));
  const ids = metadata(u32(0));
  const directories = SUPERBLOCK + inodeTable.length;
  const idBlock = directories + directoryTable.length;
  const idTable = idBlock + ids.length;
  const superblock = Buffer.alloc(SUPERBLOCK);
  superblock.write('hsqs');
  u32(folders.length + 1, 0, 1 << 12, 0).copy(superblock, 4);
  u16(6, 12, 1, 1, 4, 0).copy(superblock, 20);
  const head = u64(0n, BigInt(idTable + 8), BigInt(idTable), NO_TABLE);
  const tables = u64(BigInt(SUPERBLOCK), BigInt(directories), NO_TABLE, NO_TABLE);
  Buffer.concat([head, tables]).copy(superblock, 32);
  return Buffer.concat([superblock, inodeTable, directoryTable, ids, u64(BigInt(idBlock))]);
}

const bad = (message: RegExp) =>
  expect.objectContaining({ code: 'SQUASHFS_BAD', message: expect.stringMatching(message) });
const range = (length: number) => Array.from({ length }, (_, i) => i);

/** A root with `folders` folders, which all have the same `names` files. */
function crowd(folders: number, names: number): Buffer {
  const file = folders + 2;
  return image({
    listings: [
      range(folders).map((i) => [i + 2, FOLDER, `folder ${i}`]),
      range(names).map((i) => [file, FILE, `${i}`]),
    ],
    folders: [0, ...range(folders).map(() => 1)],
  });
}

/** Nested folders. */
function chain(depth: number): Buffer {
  const listings = range(depth).map((i): [number, number, string][] => [[i + 2, FOLDER, 'x']]);
  return image({
    listings: [...listings, [[depth + 2, FILE, 'end']]],
    folders: range(depth + 1),
  });
}

test('the images are ones that can be read', () => {
  expect(openImage(crowd(10, 300)).root.find('folder 9/299')?.size).toBe(0);
  expect(openImage(crowd(10, 300)).root.find('folder 9/300')).toBeUndefined();
  expect(openImage(chain(50)).root.find(`${'x/'.repeat(50)}end`)?.size).toBe(0);
});

test('millions of names, all in one listing that is used again and again: a bound of memory', () => {
  const before = process.resourceUsage().maxRSS;
  expect(() => openImage(crowd(3000, 3000))).toThrow(bad(/contradict each other, or are larger/));
  expect(process.resourceUsage().maxRSS - before).toBeLessThan(300 << 10);
});

test('folders without end: a bound of the stack', () => {
  expect(() => openImage(chain(20_000))).toThrow(bad(/contradict each other, or are larger/));
});

test('a file of a terabyte, for whose blocks there is no memory', () => {
  const terabyte = { listings: [[]], folders: [0], size: 1n << 40n };
  expect(() => openImage(image(terabyte))).toThrow(bad(/contradict each other, or are larger/));
  // Where there is memory for them, they are still not there.
  const gigabyte = { ...terabyte, size: 1n << 30n };
  expect(() => openImage(image(gigabyte))).toThrow(bad(/out of order/));
});

test('millions of metadata blocks with nothing in them: a bound of their number', () => {
  const block = zstdCompressSync(Buffer.of(1));
  const whole = chain(1);
  const inodes = Number(whole.readBigUInt64LE(64));
  const blocks = range(100_000).map(() => Buffer.concat([u16(block.length), block]));
  const copy = Buffer.concat([whole.subarray(0, inodes), ...blocks, whole.subarray(inodes)]);
  u64(BigInt(copy.length)).copy(copy, 40); // its size
  u64(BigInt(copy.length - 8)).copy(copy, 72); // where its directories start
  expect(() => openImage(copy)).toThrow(bad(/more metadata than any image has/));
});
