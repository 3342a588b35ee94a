import type { Source } from '../../core/io/source.ts';
import type { ReleasedContext } from './context.ts';
import { recogniseGzip, recogniseZip } from './deflated/recognise.ts';
import type { ReleasedKind, ReleasedLayer } from './layer.ts';
import { recogniseXz } from './xz/recognise.ts';

/**
 * The layers that may be around this released file's target, the likeliest first: found by compressing samples of
 * the target. {@link releasedChecker} finds out which of them is right. Reads only what tells them apart.
 *
 * Throws UnsupportedError `RELEASED_UNKNOWN` if there is none, FormatError `COMPRESSED_DAMAGED` and what reading
 * throws.
 */
export function recogniseReleased(
  source: Source,
  kind: ReleasedKind,
  context: ReleasedContext = {},
): Promise<readonly ReleasedLayer[]> {
  switch (kind) {
    case 'gz':
      return recogniseGzip(source, context);
    case 'zip':
      return recogniseZip(source, context);
    case 'xz':
      return recogniseXz(source, context);
  }
}
