import { FormatError, throwIfAborted } from '../../core/errors.ts';
import { copyBuffers, copyRange } from '../../core/io/copy.ts';
import { type Hashing, hashingHere, type Sha256 } from '../../core/io/digest.ts';
import { countingSink, hashingSink, type Sink } from '../../core/io/sink.ts';
import type { Source } from '../../core/io/source.ts';
import { TargetMismatchError } from '../../core/io/target-mismatch.ts';
import { createDeltaDecoder } from './librsync.ts';
import { unzstd } from './zstd-frame.ts';

export interface ApplyOptions {
  readonly base: Source;
  /** The zstd frame. */
  readonly delta: AsyncIterable<Uint8Array>;
  /** For messages. */
  readonly name?: string;
  readonly sink: Sink;
  /** Without a SHA-256 nothing is hashed, for a sink that proves its own output. */
  readonly expected: { readonly size: number; readonly sha256?: Sha256 | undefined };
  /** Hashes the target; in this thread unless given. */
  readonly hashing?: Hashing | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes of the target done so far. */
  readonly onBytes?: ((done: number) => void) | undefined;
}

/**
 * Rebuilds a target from its base and delta into `sink`, hashing in the same pass. Never writes
 * more than `expected.size` bytes. Throws FormatError for a damaged delta and IntegrityError
 * `TARGET_MISMATCH` if the result is not the expected one.
 */
export async function applyDelta(options: ApplyOptions): Promise<void> {
  const { base, expected, signal, onBytes, name = 'delta' } = options;
  const decoder = createDeltaDecoder(name);
  const hashing =
    expected.sha256 === undefined
      ? undefined
      : hashingSink(options.sink, options.hashing ?? hashingHere(signal));
  const out = hashing ?? countingSink(options.sink);
  const buffers = copyBuffers();

  const room = (length: number) => {
    if (length > expected.size - out.bytes) {
      throw new FormatError(
        `${name} makes more than the ${expected.size} bytes that the bundle records`,
        { code: 'DELTA_OVERRUN', context: { delta: name, expected: expected.size } },
      );
    }
  };

  for await (const chunk of unzstd(name, options.delta, signal)) {
    for (const command of decoder.push(chunk)) {
      throwIfAborted(signal);
      if (command.kind === 'literal') {
        room(command.data.length);
        await out.write(command.data);
      } else {
        const { offset, length } = command;
        if (offset + length > base.size) {
          throw new FormatError(
            `${name} copies ${length} bytes at ${offset}, past the end of its base (${base.size} bytes)`,
            { code: 'DELTA_COPY_RANGE', context: { delta: name, offset, length, base: base.name } },
          );
        }
        room(length);
        await copyRange(base, offset, length, out, buffers, {
          signal,
          onBytes: () => onBytes?.(out.bytes),
        });
      }
      onBytes?.(out.bytes);
    }
  }
  decoder.finish();

  const sha256 = await hashing?.digest();
  if (out.bytes !== expected.size || sha256 !== expected.sha256) {
    throw new TargetMismatchError(
      `the result of ${name} does not match the expected SHA-256 or size`,
      {
        expected,
        found: { sha256, size: out.bytes },
        context: { delta: name, base: base.name },
        hint: 'the delta or its base is damaged: pull or copy the bundle again, and use --no-cache',
      },
    );
  }
}
