import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { survive } from '../../test/golden/mutate.ts';
import { writeFootedVmdk } from '../../test/golden/vmdk/footed.ts';
import { memorySink } from '../../test/support/memory-sink.ts';
import { noise } from '../../test/support/synthetic-bundle.ts';
import { runsToBytes, sourceRuns } from '../core/io/disk-run.ts';
import { memorySource } from '../core/io/memory-source.ts';
import { countingSink, nullSink } from '../core/io/sink.ts';
import type { Codec } from './codec.ts';
import { deflate } from './deflate/codec.ts';
import { qcow2 } from './qcow2/codec.ts';
import { readRecipe, writeRecipe } from './recipe-blob.ts';
import { splice } from './splice/codec.ts';
import { vmdk } from './vmdk/codec.ts';
import { inlinePool } from './workers/pool.ts';

/**
 * Damaged containers and damaged recipes, of every codec: cut off, bits flipped. Small inputs, since what
 * counts is how many there are; each is made by the real tools and is accepted as long as it is whole.
 */
const context = { pool: inlinePool() };
const RUNS = 10_000;
/** A mutated size may promise much: a hole costs nothing, but is not worth the time here. */
const ENOUGH = 1 << 20;

interface Sample {
  readonly codec: Codec;
  readonly file: Buffer;
  /** Where compressed data starts: once, all in front of it is left as it is. */
  readonly compressed?: number;
}

const samples = new Map<string, Sample>();
let folder: string;
let before: number;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hostile-test-'));
  const text = Buffer.from(Array.from({ length: 100 }, (_, i) => `line ${i * i} `).join('\n'));
  const raw = Buffer.alloc(32 << 10);
  text.copy(raw);
  Buffer.concat([noise(1500, 'n'), text]).copy(raw, 13_000);
  writeFileSync(join(folder, 'disk.raw'), raw);
  const convert = (...options: string[]) => {
    const [from, to] = [join(folder, 'disk.raw'), join(folder, 'disk.qcow2')];
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', ...options, from, to]);
    return readFileSync(to);
  };
  const grained = await writeFootedVmdk(raw, 'ascending', {}, 8);
  samples.set('vmdk', { codec: vmdk, file: grained, compressed: 1024 });
  const compressed = convert('-c', '-o', 'cluster_size=4096');
  const l2 = Number(compressed.readBigUInt64BE(Number(compressed.readBigUInt64BE(40))));
  samples.set('qcow2 -c', { codec: qcow2, file: compressed, compressed: (l2 % 2 ** 48) + 4096 });
  samples.set('qcow2', { codec: qcow2, file: convert('-o', 'cluster_size=512') });
  writeFileSync(join(folder, 'note'), 'a member beside it');
  const argv = ['-c', '--format=pax', '--sparse', '-C', folder, 'note', 'disk.raw'];
  samples.set('tar', { codec: splice, file: execFileSync('tar', argv) });
  const gzip = execFileSync('gzip', ['-9'], { input: text });
  samples.set('gzip', { codec: splice, file: gzip });
  samples.set('deflate', { codec: deflate, file: gzip.subarray(10, -8) });
  before = process.memoryUsage().rss;
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  expect(process.memoryUsage().rss - before).toBeLessThan(400 << 20);
});

async function takeApart(codec: Codec, file: Uint8Array) {
  const opened = await codec.open(memorySource(file, 'test'), context);
  const { payload } = opened;
  const pieces: Buffer[] = [];
  if (payload.kind === 'disk' && payload.size > ENOUGH) return undefined;
  const runs = payload.kind === 'source' ? sourceRuns(payload.source) : payload.runs();
  for await (const bytes of runsToBytes(runs)) pieces.push(Buffer.from(bytes));
  return { payload: Buffer.concat(pieces), recipe: (await opened.recipe()).bytes };
}

async function putTogether(codec: Codec, recipe: Uint8Array, payload: Uint8Array): Promise<number> {
  const { containerSize, encoder } = codec.parse(recipe);
  const counted = countingSink(nullSink());
  const sink = encoder(counted, context);
  try {
    await sink.write(payload);
    await sink.finish();
  } catch (error) {
    await sink.abort(error);
    throw error;
  }
  expect(counted.bytes).toBe(containerSize);
  return containerSize;
}

async function wholeOf(name: string) {
  const sample = samples.get(name);
  if (sample === undefined) throw new Error(`no sample ${name}`);
  const apart = await takeApart(sample.codec, sample.file);
  if (apart === undefined) throw new Error(`${name} is too large`);
  expect(await putTogether(sample.codec, apart.recipe, apart.payload)).toBe(sample.file.length);
  return { ...sample, ...apart };
}

describe.each(['vmdk', 'qcow2 -c', 'qcow2', 'tar', 'gzip', 'deflate'])('%s', (name) => {
  test('10,000 damaged containers: a payload or a clear error', async () => {
    const { codec, file } = await wholeOf(name);
    const rejected = await survive(file, RUNS, async (mutated) => {
      const apart = await takeApart(codec, mutated);
      if (apart) expect(codec.parse(apart.recipe).containerSize).toBe(mutated.length);
    });
    expect(rejected).toBeGreaterThan(RUNS / 50);
  });

  test('10,000 damaged recipes, which are run: a container or a clear error', async () => {
    const { codec, recipe, payload } = await wholeOf(name);
    const rejected = await survive(recipe, RUNS, (mutated) => putTogether(codec, mutated, payload));
    expect(rejected).toBeGreaterThan(RUNS / 10);
  });

  test('10,000 damaged recipe blobs, which are run', async () => {
    const { codec, recipe, payload } = await wholeOf(name);
    const blob = memorySink();
    await writeRecipe(recipe, blob);
    const rejected = await survive(blob.bytes(), RUNS, async (mutated) =>
      putTogether(codec, readRecipe(mutated, name), payload),
    );
    expect(rejected).toBeGreaterThan(RUNS / 10);
  });
});

test.each(['vmdk', 'qcow2 -c'])(
  '%s: 10,000 times damaged compressed data: a payload or a clear error',
  async (name) => {
    const { codec, file, compressed = 0 } = await wholeOf(name);
    const rejected = await survive(file, RUNS, (mutated) => takeApart(codec, mutated), compressed);
    expect(rejected).toBeGreaterThan(RUNS / 20);
  },
);
