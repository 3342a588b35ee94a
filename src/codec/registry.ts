import { UnsupportedError } from '../core/errors.ts';
import type { Codec } from './codec.ts';
import { deflate } from './deflate/codec.ts';
import { IMPLEMENTATIONS } from './deflate/implementations.ts';
import { qcow2 } from './qcow2/codec.ts';
import { splice } from './splice/codec.ts';
import { vmdk } from './vmdk/codec.ts';

/** All codecs, in the order in which a file is offered to them. */
export const CODECS: readonly Codec[] = [vmdk, qcow2, splice, deflate];

export const codecNamed = (name: string): Codec | undefined =>
  CODECS.find((codec) => codec.name === name);

/** A bundle's description of a layer of an artifact. */
export interface LayerNeeds {
  readonly codec: string;
  readonly requires: readonly string[];
}

/** Throws UnsupportedError `CODEC_UNKNOWN` if this version does not know the layer's codec. */
export function codecOf({ codec: name, requires }: LayerNeeds, artifact: string): Codec {
  const codec = codecNamed(name);
  const deflaters: readonly string[] = IMPLEMENTATIONS;
  const unknown = codec === undefined ? name : requires.find((one) => !deflaters.includes(one));
  if (codec !== undefined && unknown === undefined) return codec;
  throw new UnsupportedError(`${artifact} needs the codec ${unknown}, which this version lacks`, {
    code: 'CODEC_UNKNOWN',
    context: { artifact, codec: name, unknown },
    hint: 'use the version of iso-rehydrate that made the bundle, or a newer one',
  });
}
