import { FormatError, throwIfAborted } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';
import { createTarDecoder, type TarLimits, type TarMember } from './decoder.ts';
import { BLOCK } from './header.ts';

/**
 * The members of a tar file, without reading their contents. Throws what
 * {@link createTarDecoder} throws.
 */
export async function* tarMembers(
  source: Source,
  limits: TarLimits,
  signal?: AbortSignal,
): AsyncGenerator<TarMember> {
  const decoder = createTarDecoder(source.name, limits);
  const block = Buffer.alloc(BLOCK);
  for (let at = 0; at + BLOCK <= source.size && !decoder.ended; ) {
    throwIfAborted(signal);
    await source.read(block, at);
    at += BLOCK;
    for (const event of decoder.push(block)) {
      if (event.kind !== 'member') continue;
      const { offset, size } = event.member;
      at = offset + decoder.skip();
      if (offset + size > source.size) {
        throw new FormatError(`${source.name} is a tar with its end cut off`, {
          code: 'TAR',
          context: { archive: source.name, offset },
        });
      }
      yield event.member;
    }
  }
  decoder.finish();
}
