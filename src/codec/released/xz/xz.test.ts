import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { describe, expect, test } from 'vitest';
import { golden } from '../../../../test/golden/load.ts';
import { roundTrip } from '../../../../test/support/released.ts';
import { noise } from '../../../../test/support/synthetic-bundle.ts';
import { memorySource } from '../../../core/io/memory-source.ts';
import { nullSink } from '../../../core/io/sink.ts';
import type { BlockMemo } from '../context.ts';
import { releasedEncoder } from '../encode.ts';
import { recogniseReleased } from '../recognise.ts';

const text = (lines: number, seed: number) =>
  Buffer.from(
    Array.from({ length: lines }, (_, i) => `line ${i * seed} ${(i * 7919) % (seed + 990)}\n`).join(
      '',
    ),
  );

/** Something of everything, with repetitions that only larger dictionaries reach. */
const SAMPLE = Buffer.concat([
  golden('iso/live.iso').subarray(0, 700_000),
  text(9000, 3),
  noise(150_000, 's'),
  Buffer.alloc(600_000),
  text(9000, 11),
  golden('iso/live.iso').subarray(100_000, 400_000),
]);

/** Blocks of 1 MiB at -0: such as compress, such as do not, zeros. */
const BLOCKS = Buffer.concat([
  SAMPLE,
  noise(2_300_000, 'b'),
  Buffer.alloc(2_200_000),
  text(500, 5),
]);

const xz = (input: Buffer, ...options: string[]) =>
  execFileSync('xz', ['-c', ...options], { input, maxBuffer: 1 << 28 });

const PRESETS = Array.from({ length: 10 }, (_, n) => [`-${n}`, `-${n}e`]).flat();

describe('each preset', () => {
  const target = SAMPLE.subarray(400_000, 1_000_000);
  test.each(PRESETS)('%s', async (preset) => {
    const layer = await roundTrip(xz(target, '-T1', preset), 'xz', target);
    expect(layer).toMatchObject({ sized: false });
  });
  test.each(['-1', '-6', '-9'])('%s with threads', async (preset) => {
    const layer = await roundTrip(xz(target, '-T2', preset), 'xz', target);
    expect(layer).toMatchObject({ sized: true });
  });
});

describe('blocks', () => {
  test.each([
    ['-0', '-T2'],
    ['-0', '-T0'],
    ['-1', '-T2', '--block-size=1500000'],
    ['-0', '-T1', '--block-size=1000000'],
    ['-0', '-T2', '--check=none'],
    ['-0', '-T2', '--check=crc32'],
    ['-0', '-T2', '--check=sha256'],
    ['-0', '-T1', '--check=sha256'],
  ])('%s %s %s', async (...options) => {
    await roundTrip(xz(BLOCKS, ...options), 'xz', BLOCKS);
  });

  test('nothing, a byte, noise only', async () => {
    for (const target of [
      Buffer.alloc(0),
      Buffer.of(7),
      noise(300_000, 'n'),
      noise(1_500_000, 'n'),
    ]) {
      await roundTrip(xz(target, '-0', '-T1'), 'xz', target);
      await roundTrip(xz(target, '-0', '-T2'), 'xz', target);
    }
  });

  test('several streams with padding, of which some are the same', async () => {
    const zeros = xz(Buffer.alloc(2_000_000), '-0', '-T2');
    const data = xz(SAMPLE, '-0', '-T2');
    const file = Buffer.concat([data, zeros, zeros, Buffer.alloc(8), data]);
    const target = Buffer.concat([SAMPLE, Buffer.alloc(4_000_000), SAMPLE]);
    const layer = await roundTrip(file, 'xz', target);
    expect(layer).toMatchObject({
      streams: [
        { size: SAMPLE.length },
        { size: 2_000_000 },
        { size: 2_000_000, padding: 8 },
        { size: SAMPLE.length },
      ],
    });
  });
});

test('a block that was compressed before is not compressed again', async () => {
  const file = xz(BLOCKS, '-0', '-T2');
  const known = new Map<string, Uint8Array>();
  let hits = 0;
  const blocks: BlockMemo = {
    async get(key) {
      const bytes = known.get(key);
      if (bytes) hits++;
      return bytes;
    },
    async put(key, bytes) {
      known.set(key, bytes);
    },
  };
  await roundTrip(file, 'xz', BLOCKS, { blocks, threads: Math.min(2, availableParallelism()) });
  // One block is all zeros like another; the second time, all are known.
  expect(hits).toBeGreaterThanOrEqual(known.size);
});

test('other sizes than the recipe is for, and a stop on the way', async () => {
  const [layer] = await recogniseReleased(memorySource(xz(SAMPLE, '-0', '-T2')), 'xz');
  if (layer === undefined) throw new Error('it is one of ours');
  const short = releasedEncoder(layer, nullSink());
  await short.write(SAMPLE.subarray(1));
  await expect(short.finish()).rejects.toMatchObject({ code: 'RELEASED_PAYLOAD' });
  const long = releasedEncoder(layer, nullSink());
  await long.write(SAMPLE);
  await expect(long.write(Buffer.of(1))).rejects.toMatchObject({ code: 'RELEASED_PAYLOAD' });
  const stop = new AbortController();
  const stopped = releasedEncoder(layer, nullSink(), { signal: stop.signal });
  await stopped.write(SAMPLE.subarray(0, 2_000_000));
  stop.abort();
  await expect(stopped.write(SAMPLE.subarray(2_000_000))).rejects.toMatchObject({
    code: 'CANCELLED',
  });
});

test.each([
  ['a filter in front of LZMA2', ['--x86', '--lzma2=preset=0']],
  ['a dictionary of its own', ['--lzma2=preset=0,dict=300KiB']],
  ['a nice length of its own', ['--lzma2=preset=1,nice=77']],
  ['blocks of irregular sizes', ['-0', '-T2', '--block-list=1000000,500000,700000']],
])('%s is not recognised', async (_what, options) => {
  const source = memorySource(xz(SAMPLE, ...options));
  await expect(recogniseReleased(source, 'xz')).rejects.toMatchObject({ code: 'RELEASED_UNKNOWN' });
});

test('damage is not recognised', async () => {
  const file = xz(SAMPLE.subarray(0, 500_000), '-0');
  for (const at of [0, 7, 14, file.length - 1, file.length - 9, file.length - 14]) {
    const damaged = Buffer.from(file);
    damaged[at] = (damaged[at] ?? 0) ^ 0x10;
    await expect(recogniseReleased(memorySource(damaged), 'xz')).rejects.toMatchObject({
      code: 'RELEASED_UNKNOWN',
    });
  }
});

test('the module is the one that was built', () => {
  const folder = new URL('wasm/', import.meta.url);
  const sums = readFileSync(new URL('SHA256SUMS', folder), 'utf8').trim().split('\n');
  const modules = readdirSync(folder).filter((name) => name.endsWith('.wasm'));
  const actual = modules.map((name) => {
    const digest = createHash('sha256')
      .update(readFileSync(new URL(name, folder)))
      .digest('hex');
    return `${digest}  ${name}`;
  });
  expect(actual).toEqual(sums);
});
