import * as v from 'valibot';
import { FormatError, throwIfAborted } from '../../core/errors.ts';
import { isZero } from '../../core/io/zero.ts';
import { readIsoJson } from './iso-json.ts';
import type { Iso9660 } from './iso9660.ts';
import type { IsoExtent } from './live-iso.ts';

/** Where `coreos-installer iso ignition embed` puts a config. */
export interface IgnitionArea extends IsoExtent {
  /** True as released. A filled area means that the ISO was customized. */
  readonly empty: boolean;
}

const Bytes = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const IgnInfo = v.object({
  file: v.string(),
  offset: v.optional(v.nullable(Bytes)),
  length: v.optional(v.nullable(Bytes)),
});
const DEFAULT_FILE = 'images/ignition.img';
/** 256 KiB in all releases so far. */
const MAX_AREA = 64 << 20;
const BLOCK = 256 << 10;

/** Finds the Ignition embed area (`coreos/igninfo.json`); `undefined` if the ISO has none. */
export async function readIgnitionArea(
  iso: Iso9660,
  signal?: AbortSignal,
): Promise<IgnitionArea | undefined> {
  const info = await readIsoJson(iso, 'coreos/igninfo.json', IgnInfo);
  const file = await iso.extent(info?.file ?? DEFAULT_FILE);
  if (file === undefined) {
    if (info === undefined) return undefined;
    throw badArea(`coreos/igninfo.json names '${info.file}', which does not exist`);
  }
  const start = info?.offset ?? 0;
  const length = info?.length ?? file.length - start;
  if (length < 0 || start + length > file.length || length > MAX_AREA) {
    throw badArea(`the Ignition area at ${start} leaves '${file.path}'`);
  }
  const offset = file.offset + start;
  return { path: file.path, offset, length, empty: await isEmpty(iso, offset, length, signal) };
}

async function isEmpty(
  iso: Iso9660,
  offset: number,
  length: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const block = new Uint8Array(Math.min(BLOCK, length));
  for (let done = 0; done < length; done += BLOCK) {
    throwIfAborted(signal);
    const chunk = block.subarray(0, Math.min(BLOCK, length - done));
    await iso.source.read(chunk, offset + done);
    if (!isZero(chunk)) return false;
  }
  return true;
}

function badArea(message: string): FormatError {
  return new FormatError(message, { code: 'ISO_IGNITION_AREA', hint: 'use the ISO as released' });
}
