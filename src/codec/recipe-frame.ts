import * as v from 'valibot';
import type { CodeOf } from '../core/error-codes.ts';
import { FormatError } from '../core/errors.ts';
import { canonicalJson } from '../core/json/canonical.ts';
import { countField } from '../core/json/fields.ts';
import { parseJson } from '../core/json/parse.ts';

/**
 * The frame of every codec's recipe: readable metadata is JSON, bulk data is in binary columns after it.
 * All integers little endian.
 *
 *     0  8  magic "IRCODEC1"
 *     8  4  length of the JSON
 *    12     JSON: {codec, version, columns: [length of each column], header}
 *           the columns, one after the other, to the end
 */
const MAGIC = 'IRCODEC1';
const FIXED = 12;
const MAX_JSON = 1 << 20;

export interface Frame<H> {
  readonly header: H;
  readonly columns: readonly Uint8Array[];
}

export interface FrameType<H> {
  /** Such as `vmdk`. */
  readonly codec: string;
  readonly version: number;
  /** How many columns there are. */
  readonly columns: number;
  readonly header: v.GenericSchema<unknown, H>;
}

export function encodeFrame<H>(type: FrameType<H>, { header, columns }: Frame<H>): Uint8Array {
  const json = canonicalJson({
    codec: type.codec,
    version: type.version,
    columns: columns.map((column) => column.length),
    header,
  });
  const fixed = Buffer.alloc(FIXED);
  fixed.write(MAGIC, 'latin1');
  fixed.writeUInt32LE(json.length, 8);
  return Buffer.concat([fixed, json, ...columns]);
}

/** Makes the errors for a damaged recipe. */
export const damagedRecipe =
  (what: string, code: CodeOf<'format'>, context: Readonly<Record<string, number>> = {}) =>
  (problem: string) =>
    new FormatError(`${what}: ${problem}`, {
      code,
      context,
      hint: 'this recipe is damaged: pull or copy the bundle again',
    });

/** Columns are views of `bytes`. Throws FormatError `RECIPE_FRAME` or that of `parseJson`. */
export function decodeFrame<H>(type: FrameType<H>, bytes: Uint8Array): Frame<H> {
  const what = `${type.codec} recipe`;
  const bad = damagedRecipe(what, 'RECIPE_FRAME', { size: bytes.length });
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (buffer.length < FIXED || buffer.toString('latin1', 0, 8) !== MAGIC) throw bad('no magic');
  const length = buffer.readUInt32LE(8);
  if (length > MAX_JSON || FIXED + length > buffer.length) throw bad('truncated');
  const schema = v.object({
    codec: v.literal(type.codec, `expected ${type.codec}`),
    version: v.literal(type.version, `expected version ${type.version}`),
    columns: v.pipe(v.array(countField), v.length(type.columns)),
    header: type.header,
  });
  const json = parseJson(buffer.subarray(FIXED, FIXED + length), schema, { what, source: what });
  let at = FIXED + length;
  const columns = json.columns.map((size) => {
    if (size > buffer.length - at) throw bad('truncated');
    at += size;
    return buffer.subarray(at - size, at);
  });
  if (at !== buffer.length) throw bad(`${buffer.length - at} bytes too many`);
  return { header: json.header, columns };
}
