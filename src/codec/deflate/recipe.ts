import * as v from 'valibot';
import { sizeField } from '../../core/json/fields.ts';
import { damagedRecipe, decodeFrame, encodeFrame, type FrameType } from '../recipe-frame.ts';
import { type DeflateParams, deflateParamsField } from './params.ts';

/** A raw deflate stream (RFC 1951) that one deflater makes of its payload. Sizes in bytes. */
export interface DeflateRecipe {
  readonly params: DeflateParams;
  readonly payloadSize: number;
  readonly size: number;
}

const FRAME = {
  codec: 'deflate',
  version: 1,
  columns: 0,
  header: v.object({ params: deflateParamsField, payloadSize: sizeField, size: sizeField }),
} satisfies FrameType<unknown>;

export function serializeRecipe(recipe: DeflateRecipe): Uint8Array {
  return encodeFrame(FRAME, { header: recipe, columns: [] });
}

/** Throws FormatError. */
export function parseRecipe(bytes: Uint8Array): DeflateRecipe {
  const { header } = decodeFrame(FRAME, bytes);
  if (header.params.format === 'raw') return header;
  throw damagedRecipe('deflate recipe', 'DEFLATE_RECIPE')('not of a raw stream');
}
