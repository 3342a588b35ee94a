import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { memorySink } from '../../../test/support/memory-sink.ts';
import { noise } from '../../../test/support/synthetic-bundle.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import type { Sink } from '../../core/io/sink.ts';
import { releasedChecker } from './check.ts';
import { releasedEncoder } from './encode.ts';
import {
  type ReleasedKind,
  type ReleasedLayer,
  releasedLayerField,
  requirementOf,
  targetSizeOf,
} from './layer.ts';
import { recogniseReleased } from './recognise.ts';

/** Something of everything: machine code, text, noise, zeros. */
const SAMPLE = Buffer.concat([
  golden('iso/live.iso').subarray(0, 1_000_000),
  Buffer.alloc(300_000, 'text that compresses well, though not too well '),
  noise(100_000, 's'),
  Buffer.alloc(1_000_000),
  Buffer.from(JSON.stringify(Array.from({ length: 30_000 }, (_, i) => (i * i) % 9973))),
]);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'released-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function put(target: Buffer, sink: Sink, chunk = 70_000): Promise<void> {
  for (let at = 0; at < target.length; at += chunk) {
    const piece = target.subarray(at, at + chunk);
    if (piece.every((byte) => byte === 0)) await sink.zeros(piece.length);
    else await sink.write(piece);
  }
}

/** Recognises a file, finds out which layer it is, and makes it again from the layer's JSON. */
async function roundTrip(file: Buffer, kind: ReleasedKind, target: Buffer): Promise<ReleasedLayer> {
  const source = memorySource(file, `test.${kind}`);
  const candidates = await recogniseReleased(source, kind);
  const checker = releasedChecker(candidates, source);
  await put(target, checker);
  await checker.finish();
  const { agreed } = checker;
  if (agreed === undefined) throw new Error(`none of ${candidates.length} makes it`);
  const json = JSON.stringify(agreed);
  expect(json.length).toBeLessThan(1000);
  const layer = v.parse(releasedLayerField, JSON.parse(json));
  expect(layer).toEqual(agreed);
  expect(targetSizeOf(layer) ?? target.length).toBe(target.length);
  const sink = memorySink();
  const encoder = releasedEncoder(layer, sink);
  await put(target, encoder, 123_456);
  await encoder.finish();
  expect(sink.bytes().equals(file)).toBe(true);
  return layer;
}

describe('gzip of GNU', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9])('-%i, with a name and a time', async (level) => {
    const path = join(folder, 'image.raw');
    writeFileSync(path, SAMPLE);
    const file = execFileSync('gzip', ['-c', `-${level}`, path], { maxBuffer: 1 << 28 });
    const layer = await roundTrip(file, 'gz', SAMPLE);
    expect(layer).toMatchObject({ deflater: { implementation: 'gzip', level } });
    expect(requirementOf(layer)).toBe('gzip');
  });
});

describe("Info-ZIP's zip", () => {
  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])('-%i', async (level) => {
    const path = join(folder, `zipped-${level}`);
    writeFileSync(path, SAMPLE);
    execFileSync('zip', ['-q', `-${level}`, `${path}.zip`, path]);
    await roundTrip(readFileSync(`${path}.zip`), 'zip', SAMPLE);
  });

  test('of a pipe', async () => {
    const file = execFileSync('zip', ['-q', '-', '-'], { input: SAMPLE, maxBuffer: 1 << 28 });
    await roundTrip(file, 'zip', SAMPLE);
  });
});
