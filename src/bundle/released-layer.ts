import * as v from 'valibot';
import { IMPLEMENTATIONS } from '../codec/deflate/implementations.ts';
import {
  LIBLZMA,
  type ReleasedKind,
  type ReleasedLayer,
  releasedLayerField,
  requirementOf,
} from '../codec/released/layer.ts';
import { UnsupportedError } from '../core/errors.ts';
import { nameField } from '../core/json/fields.ts';

/** A layer as a recipe records it. One that this version does not know is kept as it is, for other versions. */
export type RecordedLayer = ReleasedLayer | UnknownLayer;

interface UnknownLayer {
  readonly kind: string;
  readonly [member: string]: unknown;
}

/** Characters of an unknown layer; a known one takes a few hundred, its literals 64 KiB each at most. */
const MAX_UNKNOWN = 1 << 18;

const unknownField = v.pipe(
  v.looseObject({ kind: nameField }),
  v.check(
    (layer) => JSON.stringify(layer).length <= MAX_UNKNOWN,
    `expected at most ${MAX_UNKNOWN} characters`,
  ),
);

/** For recipes, which are untrusted. */
export const recordedLayerField: v.GenericSchema<unknown, RecordedLayer> = v.lazy((input) =>
  lackingFor(input) === undefined ? releasedLayerField : unknownField,
) as v.GenericSchema<unknown, RecordedLayer>;

/** The kinds of compression that can be done again. */
export const LAYER_KINDS = ['gz', 'zip', 'xz'] as const satisfies readonly ReleasedKind[];

/** Those that `dehydrate` tries unless told otherwise: `xz` takes long. */
export const DEFAULT_RELEASED = ['gz', 'zip'] as const satisfies readonly ReleasedKind[];

const KNOWN: readonly string[] = [...IMPLEMENTATIONS, ...LIBLZMA];
const KINDS: readonly string[] = LAYER_KINDS;

/** Name of the part that this version lacks to follow a layer; undefined if it knows the layer, or no version does. */
function lackingFor(layer: unknown): string | undefined {
  if (typeof layer !== 'object' || layer === null) return undefined;
  const { kind, library, deflater } = layer as Readonly<Record<string, unknown>>;
  if (typeof kind === 'string' && !KINDS.includes(kind)) return kind;
  const inside = typeof deflater === 'object' && deflater !== null ? deflater : {};
  const { implementation } = inside as { readonly implementation?: unknown };
  return [library, implementation].find(
    (name): name is string => typeof name === 'string' && !KNOWN.includes(name),
  );
}

/** The layer, if this version can follow it. */
export function knownLayer(layer: RecordedLayer | undefined): ReleasedLayer | undefined {
  return layer === undefined || lackingFor(layer) !== undefined
    ? undefined
    : (layer as ReleasedLayer);
}

/** Throws UnsupportedError `CODEC_UNKNOWN` if this version cannot follow the layer around `file`. */
export function layerOf(layer: RecordedLayer, file: string): ReleasedLayer {
  const known = knownLayer(layer);
  if (known) return known;
  const unknown = lackingFor(layer);
  throw new UnsupportedError(`${file} needs the codec ${unknown}, which this version lacks`, {
    code: 'CODEC_UNKNOWN',
    context: { artifact: file, codec: layer.kind, unknown },
    hint: 'use the version of iso-rehydrate that made the bundle, or a newer one',
  });
}

/** `gz by gzip`, `xz by liblzma-5.4`, for people. */
export function layerText(layer: RecordedLayer): string {
  const known = knownLayer(layer);
  const by = known && requirementOf(known);
  return by === undefined ? layer.kind : `${layer.kind} by ${by}`;
}
