import type { BaseName } from '../../../images/platforms.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import type { Source } from '../../core/io/source.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import { type BaseIndex, indexBase } from '../../formats/delta/base-index.ts';

/** A base, open, proved and, after the first use of the index, indexed. */
export interface OpenBase extends BlobRef {
  readonly name: BaseName;
  readonly source: Source;
  index(): Promise<BaseIndex>;
}

export interface OpenBaseOptions {
  readonly signal: AbortSignal | undefined;
  readonly progress: Progress;
}

/** Built on first use; all artifacts of the base share it. */
export function openBase(
  name: BaseName,
  { sha256, size }: BlobRef,
  source: Source,
  { signal, progress }: OpenBaseOptions,
): OpenBase {
  let index: ReturnType<typeof indexBase> | undefined;
  return {
    name,
    sha256,
    size,
    source,
    index() {
      index ??= step(progress, { subject: name, phase: 'index', total: size }, (onBytes) =>
        indexBase(source, { signal, onBytes }),
      ).then(({ result }) => result);
      return index;
    },
  };
}
