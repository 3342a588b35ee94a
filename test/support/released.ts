import * as v from 'valibot';
import { expect } from 'vitest';
import { releasedChecker } from '../../src/codec/released/check.ts';
import type { ReleasedContext } from '../../src/codec/released/context.ts';
import { releasedEncoder } from '../../src/codec/released/encode.ts';
import {
  type ReleasedKind,
  type ReleasedLayer,
  releasedLayerField,
  requirementOf,
  targetSizeOf,
} from '../../src/codec/released/layer.ts';
import { recogniseReleased } from '../../src/codec/released/recognise.ts';
import { memorySource } from '../../src/core/io/memory-source.ts';
import type { Sink } from '../../src/core/io/sink.ts';
import { memorySink } from './memory-sink.ts';

async function put(target: Buffer, sink: Sink, chunk = 70_000): Promise<void> {
  for (let at = 0; at < target.length; at += chunk) {
    const piece = target.subarray(at, at + chunk);
    if (piece.every((byte) => byte === 0)) await sink.zeros(piece.length);
    else await sink.write(piece);
  }
}

/** Recognises a file, finds out which layer it is, and makes it again from the layer's JSON. */
export async function roundTrip(
  file: Buffer,
  kind: ReleasedKind,
  target: Buffer,
  context: ReleasedContext = {},
): Promise<ReleasedLayer> {
  const source = memorySource(file, `test.${kind}`);
  const candidates = await recogniseReleased(source, kind, context);
  const checker = releasedChecker(candidates, source, context);
  await put(target, checker);
  await checker.finish();
  const { agreed } = checker;
  if (agreed === undefined) throw new Error(`none of ${candidates.length} makes it`);
  const json = JSON.stringify(agreed);
  expect(json.length).toBeLessThan(1000);
  const layer = v.parse(releasedLayerField, JSON.parse(json));
  expect(layer).toEqual(JSON.parse(json));
  expect(requirementOf(layer)).toBe(requirementOf(agreed));
  expect(targetSizeOf(layer) ?? target.length).toBe(target.length);
  const sink = memorySink();
  const encoder = releasedEncoder(layer, sink, context);
  await put(target, encoder, 123_456);
  await encoder.finish();
  expect(sink.bytes().equals(file)).toBe(true);
  return layer;
}
