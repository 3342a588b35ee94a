import type { Sink } from '../../core/io/sink.ts';
import type { Encoder } from '../codec.ts';
import type { ReleasedContext } from './context.ts';
import { deflatedEncoder } from './deflated/encode.ts';
import type { ReleasedLayer } from './layer.ts';
import { xzEncoder } from './xz/encode.ts';

/**
 * Compresses the target, which is written front to back, to the released file. In bounded memory; threads at work
 * end with the `signal`, with `abort` and after an error. The caller compares the file's SHA-256.
 *
 * Throws IntegrityError `RELEASED_PAYLOAD` if the target does not have the size that the layer is for.
 */
export function releasedEncoder(
  layer: ReleasedLayer,
  sink: Sink,
  context: ReleasedContext = {},
): Encoder {
  return layer.kind === 'xz'
    ? xzEncoder(layer, sink, context)
    : deflatedEncoder(layer, sink, context);
}
