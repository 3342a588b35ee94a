import type { Hashing } from '../core/io/digest.ts';
import type { DiskRun } from '../core/io/disk-run.ts';
import type { Sink } from '../core/io/sink.ts';
import type { Source } from '../core/io/source.ts';
import type { Implementation } from './deflate/implementations.ts';
import type { CodecPool } from './pool.ts';

/** The tools that a codec uses. */
export interface CodecContext {
  readonly pool: CodecPool;
  readonly signal?: AbortSignal | undefined;
}

/** A container taken apart. */
export interface Opened {
  readonly payload: Payload;
  /**
   * The recipe that rebuilds the container around its payload. Available once the payload was read to its
   * end.
   */
  recipe(): Promise<CodecRecipe>;
}

/** The payload of a container. Sizes in bytes. */
export type Payload =
  /** An unchanged part of the container, which may be another container. */
  | {
      readonly kind: 'source';
      readonly source: Source;
      /** Its codec, if its bytes alone do not show it. */
      readonly next?: string;
    }
  /** A raw disk, front to back, which can be read only once. */
  | {
      readonly kind: 'disk';
      readonly size: number;
      runs(): AsyncIterable<DiskRun>;
      /** Hashes it independently of `runs`, if the container holds it uncompressed. */
      readonly hash?: ((hashing: Hashing) => Promise<void>) | undefined;
    }
  /** Other unpacked contents, read only once too; may be another container. */
  | { readonly kind: 'file'; runs(): AsyncIterable<DiskRun> };

export interface CodecRecipe {
  /** Serialised, not compressed. The same container gives the same bytes. */
  readonly bytes: Uint8Array;
  /** The deflaters that it requires. */
  readonly requires: readonly Implementation[];
}

/** Receives the payload front to back and writes the container. End it with one of the two calls. */
export interface Encoder extends Sink {
  /** Resolves once the whole container was written to its sink. */
  finish(): Promise<void>;
  /** Stops; when it resolves, nothing is running any more. */
  abort(reason: unknown): Promise<void>;
}

/**
 * A reversible container transform: container <-> (payload, recipe). Encoding is strictly sequential,
 * so that patch, encode, hash and write are one pass; zero runs stay zero runs.
 */
export interface Codec {
  /** The name in bundles. The meaning of its recipes never changes. */
  readonly name: string;
  /** A guess from the first {@link HEAD_BYTES}; cheap, may be wrong. */
  detect(head: Uint8Array): boolean;
  /**
   * Throws UnsupportedError or FormatError if the file is better stored unchanged. The payload's runs and
   * `recipe` may throw them too.
   */
  open(source: Source, context: CodecContext): Promise<Opened>;
  /** Parses untrusted bytes. Throws FormatError for an invalid recipe. */
  parse(recipe: Uint8Array): ParsedRecipe;
}

/** A codec's recipe, ready to be followed. Sizes in bytes. */
export interface ParsedRecipe {
  readonly payloadSize: number;
  readonly containerSize: number;
  encoder(sink: Sink, context: CodecContext): Encoder;
}

/** The length of the start of a file that {@link Codec.detect} sees; less if the file is shorter. */
export const HEAD_BYTES = 1024;

/** Bundles with more layers are refused: the deepest that is known has five (kubevirt). */
export const MAX_LAYERS = 8;
