import { execFileSync } from 'node:child_process';
import { createCipheriv, createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { golden } from '../../../../test/golden/load.ts';
import { memorySink } from '../../../../test/support/memory-sink.ts';
import { roundTrip } from '../../../../test/support/released.ts';
import { noise, sha256Of } from '../../../../test/support/synthetic-bundle.ts';
import { memorySource } from '../../../core/io/memory-source.ts';
import { nullSink } from '../../../core/io/sink.ts';
import type { BlockMemo } from '../context.ts';
import { releasedEncoder } from '../encode.ts';
import { releasedLayerField, type XzLayer } from '../layer.ts';
import { recogniseReleased } from '../recognise.ts';
import { withCrc } from './container.ts';
import { lzmaPacker } from './packer.ts';
import { blockSizeOf, dictionaryOf, presetNumber } from './presets.ts';
import { blockShape, xzWriter } from './writer.ts';

/** The samples of test/golden/xz/make.sh. */
function samples() {
  const seq = (from: number, to: number) =>
    Buffer.from(Array.from({ length: to - from + 1 }, (_, i) => `${from + i}\n`).join(''));
  const random = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16));
  const stream = random.update(Buffer.alloc(2_300_000));
  const sample = Buffer.concat([
    ...[golden('iso/live.iso').subarray(0, 400_000), seq(1, 20_000), stream.subarray(0, 70_000)],
    ...[Buffer.alloc(150_000), seq(5000, 9000)],
  ]);
  const end = sample.subarray(-300_000);
  const blocks = Buffer.concat([sample, stream, Buffer.alloc(2_200_000), end]);
  return { sample, blocks };
}
const { sample: SAMPLE, blocks: BLOCKS } = samples();

const lines = (name: string) =>
  readFileSync(new URL(`../../../../test/golden/xz/${name}`, import.meta.url), 'utf8')
    .trim()
    .split('\n');

/** Digests of what the xz of Debian 12 and Debian 13 make, by sample and options. */
const DIGESTS = new Map<string, string[]>();
for (const line of lines('digests.txt')) {
  const [, what = '', digest = ''] = /^\S+ (.*) (\S+)$/.exec(line) ?? [];
  DIGESTS.set(what, [...(DIGESTS.get(what) ?? []), digest]);
}

const xz = (input: Buffer, ...options: string[]) =>
  execFileSync('xz', ['-c', ...options], { input, maxBuffer: 1 << 28 });

const PRESETS = Array.from({ length: 10 }, (_, preset) => [
  { preset, extreme: false },
  { preset, extreme: true },
]).flat();

test('the golden samples', () => {
  expect([sha256Of(SAMPLE), sha256Of(BLOCKS)]).toEqual(
    lines('samples.sha256').map((line) => line.split(' ')[0]),
  );
  expect([...DIGESTS.values()].every((both) => both.length === 2)).toBe(true);
});

/** One block at a time, in this thread. */
async function packed(layer: XzLayer, contents: Buffer): Promise<string> {
  const { library, check } = layer;
  const { limit } = blockShape(layer);
  const packer = await lzmaPacker({
    codec: 'lzma2',
    library,
    preset: presetNumber(layer),
    check,
    limit,
  });
  const data: Uint8Array[] = [];
  for (const pieces of [packer.push(contents), packer.finish()]) {
    for (const piece of pieces) data.push(Uint8Array.from(piece));
  }
  const sink = memorySink();
  const writer = xzWriter(layer, sink);
  await writer.startStream();
  if (layer.sized) {
    const block = { unpacked: contents.length, data, stored: packer.stored() !== undefined };
    await writer.block({ ...block, check: packer.check() });
  } else {
    await writer.startBlock();
    for (const piece of data) await sink.write(piece);
    const size = data.reduce((sum, { length }) => sum + length, 0);
    await writer.endBlock(size, contents.length, packer.check());
  }
  await writer.endStream(0);
  return sha256Of(sink.bytes());
}

describe('each preset makes what xz makes, in Debian 12 and 13', () => {
  test.each(PRESETS)('%j', async (one) => {
    const option = `-${one.preset}${one.extreme ? 'e' : ''}`;
    const common = { kind: 'xz', library: 'liblzma-5.8.4', ...one, check: 4 } as const;
    const layer = { ...common, streams: [{ size: SAMPLE.length }] };
    const plain = await packed({ ...layer, sized: false }, SAMPLE);
    const blockSize = blockSizeOf(dictionaryOf(one));
    const threaded = await packed({ ...layer, sized: true, blockSize }, SAMPLE);
    const expected = (threads: string) => DIGESTS.get(`sample ${option} ${threads}`);
    expect(expected('-T1')).toEqual([plain, plain]);
    expect(expected('-T2')).toEqual([threaded, threaded]);
    expect(expected('-T0')).toEqual([threaded, threaded]);
  });
});

describe('files of xz are recognised and made again', () => {
  // With as many threads as there are, xz makes what it makes with two.
  const named = [...DIGESTS.keys()].filter((what) => /^blocks.*-T[12]|--check/.test(what));
  test.each([...named, 'sample -1e -T1', 'sample -5 -T2'])('%s', async (what) => {
    const [name, ...options] = what.split(' ');
    const target = name === 'blocks' ? BLOCKS : SAMPLE;
    const file = xz(target, ...options);
    expect(DIGESTS.get(what)).toContain(sha256Of(file));
    await roundTrip(file, 'xz', target, { threads: 2 });
  });
});

describe('odd files', () => {
  test.each([0, 1, 300_000])('%i bytes of noise', async (size) => {
    const target = noise(size, 'n');
    await roundTrip(xz(target, '-0', '-T1'), 'xz', target);
    await roundTrip(xz(target, '-0', '-T2'), 'xz', target);
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
  await roundTrip(file, 'xz', BLOCKS, { blocks, threads: 2 });
  // The checker makes each; the encoder that comes after it none.
  expect(known.size).toBeGreaterThan(3);
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
  const source = memorySource(xz(BLOCKS, ...options));
  await expect(recogniseReleased(source, 'xz')).rejects.toMatchObject({ code: 'RELEASED_UNKNOWN' });
});

describe('hostile files', () => {
  const file = xz(SAMPLE.subarray(0, 300_000), '-0', '-T2');
  const unknown = async (bytes: Buffer) =>
    expect(recogniseReleased(memorySource(bytes), 'xz')).rejects.toMatchObject({
      code: 'RELEASED_UNKNOWN',
    });

  test('a flipped bit in each part of it', async () => {
    for (const at of [0, 7, 14, file.length - 1, file.length - 9, file.length - 14]) {
      const damaged = Buffer.from(file);
      damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      await unknown(damaged);
    }
  });

  test('each header byte of the block, with a right checksum: not recognised, or another file', async () => {
    const headerBytes = ((file[12] ?? 0) + 1) * 4;
    const header = file.subarray(12, 12 + headerBytes - 4);
    for (let at = 0; at < header.length; at++) {
      for (const value of [0, 0x21, 40, 0xff]) {
        if (header[at] === value) continue;
        const changed = Buffer.from(header);
        changed[at] = value;
        const hostile = Buffer.from(file);
        withCrc(changed).copy(hostile, 12);
        const source = memorySource(hostile);
        const layers = await recogniseReleased(source, 'xz').catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'RELEASED_UNKNOWN' });
          return [];
        });
        // Nothing is taken from a header except what a preset has.
        for (const layer of layers) expect(layer).toMatchObject({ preset: 0 });
      }
    }
  });

  test('an index of more blocks than a file may have', async () => {
    const count = 600_000;
    const index = Buffer.concat([Buffer.from([0, 0xc0, 0xcf, 0x24]), Buffer.alloc(2 * count, 1)]);
    const whole = withCrc(index);
    const footer = Buffer.alloc(6);
    footer.writeUInt32LE(whole.length / 4 - 1);
    footer[5] = 4;
    const crc = withCrc(footer).subarray(6);
    await unknown(Buffer.concat([file.subarray(0, 12), whole, crc, footer, Buffer.from('YZ')]));
  });

  test('zeros without end', async () => {
    await unknown(Buffer.concat([file, Buffer.alloc(300 << 10)]));
    await unknown(Buffer.alloc(1 << 20));
  });
});

describe('hostile recipes', () => {
  const good = {
    ...{ kind: 'xz', library: 'liblzma-5.8.4', preset: 0, extreme: false, check: 4 },
    ...{ blockSize: 1 << 20, sized: true, streams: [{ size: 1000 }] },
  };
  test('this one is good', () => {
    expect(v.safeParse(releasedLayerField, good).success).toBe(true);
  });
  test.each([
    { streams: [{ size: 0, times: 1e15 }] },
    { streams: [{ size: 1, padding: 2 ** 40 }] },
    { streams: [{ size: 1, padding: 6 }] },
    { streams: [{ size: 2 ** 53 - 1 }, { size: 2 ** 53 - 1 }] },
    { streams: [{ size: 2 ** 38 }], blockSize: 1 },
    { streams: [{ size: 1, padding: 100_000, times: 4 }] },
    { streams: [] },
    { blockSize: 2 ** 30 },
    { blockSize: 0 },
    { blockSize: undefined },
    { preset: 10 },
    { check: 2 },
  ])('%j', (change) => {
    expect(v.safeParse(releasedLayerField, { ...good, ...change }).success).toBe(false);
  });
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
