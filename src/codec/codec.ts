import type { Hashing } from '../core/io/digest.ts';
import type { DiskRun } from '../core/io/disk-run.ts';
import type { Sink } from '../core/io/sink.ts';
import type { Source } from '../core/io/source.ts';
import type { Implementation } from './deflate/implementations.ts';
import type { CodecPool } from './pool.ts';

/** What a codec works with. */
export interface CodecContext {
  readonly pool: CodecPool;
  readonly signal?: AbortSignal | undefined;
}

/** A container taken apart. */
export interface Opened {
  readonly payload: Payload;
  /** What puts the container around its payload again. Only once the payload was read to its end. */
  recipe(): Promise<CodecRecipe>;
}

/** What is in a container. Sizes in bytes. */
export type Payload =
  /** A part of the container as it is, to be looked into further. */
  | {
      readonly kind: 'source';
      readonly source: Source;
      /** The codec that it is for, where its bytes alone do not tell. */
      readonly next?: string;
    }
  /** A raw disk, front to back, to be run once. */
  | {
      readonly kind: 'disk';
      readonly size: number;
      runs(): AsyncIterable<DiskRun>;
      /** Hashes it apart from `runs`, where the container holds it as it is. */
      readonly hash?: ((hashing: Hashing) => Promise<void>) | undefined;
    }
  /** Something else made of it, likewise; may be a container again. */
  | { readonly kind: 'file'; runs(): AsyncIterable<DiskRun> };

export interface CodecRecipe {
  /** Serialised, not compressed. The same container gives the same bytes. */
  readonly bytes: Uint8Array;
  /** The deflaters that it takes. */
  readonly requires: readonly Implementation[];
}

/** Takes the payload front to back and writes the container. One of the two calls ends it. */
export interface Encoder extends Sink {
  /** Resolves once all of the container went to its sink. */
  finish(): Promise<void>;
  /** Stops; whatever runs alongside has ended when it resolves. */
  abort(reason: unknown): Promise<void>;
}

/**
 * A reversible container transform: container <-> (payload, recipe). Encoding is strictly sequential,
 * so that patch, encode, hash and write are one pass; zero runs stay zero runs.
 */
export interface Codec {
  /** As bundles record it. A name is a promise: what its recipes mean never changes. */
  readonly name: string;
  /** How much a look at the first {@link HEAD_BYTES} says; cheap, may be wrong. */
  detect(head: Uint8Array): boolean;
  /**
   * Throws UnsupportedError or FormatError where the file is better taken as it is. So may the
   * payload's runs and `recipe`.
   */
  open(source: Source, context: CodecContext): Promise<Opened>;
  /** Parses untrusted bytes. Throws FormatError for a recipe that makes no sense. */
  parse(recipe: Uint8Array): ParsedRecipe;
}

/** A codec's recipe, ready to be followed. Sizes in bytes. */
export interface ParsedRecipe {
  readonly payloadSize: number;
  readonly containerSize: number;
  encoder(sink: Sink, context: CodecContext): Encoder;
}

/** What {@link Codec.detect} sees of a file; less if that is shorter. */
export const HEAD_BYTES = 1024;

/** Bundles with more layers are refused: the deepest that is known has five (kubevirt). */
export const MAX_LAYERS = 8;
