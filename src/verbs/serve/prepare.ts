import { UsageError } from '../../core/errors.ts';
import { headline } from '../../core/failures.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { nameMatches } from '../../release/stream/artifacts.ts';
import type { ServedFile } from './catalogue.ts';
import type { ImageStore } from './image-store.ts';

/** The files of some platforms that the stream names. Throws UsageError `PREPARE` for a name that means nothing. */
export function chooseFiles(names: readonly string[], files: Iterable<ServedFile>): ServedFile[] {
  const listed = [...files].filter(({ listed }) => listed);
  const means = (name: string, { file }: ServedFile) =>
    name === 'all' || nameMatches(name, file.artifact);
  const unknown = names.find((name) => !listed.some((file) => means(name, file)));
  if (unknown !== undefined) {
    const platforms = [...new Set(listed.map(({ file }) => file.artifact.platform))];
    throw new UsageError(`--prepare ${unknown} names nothing that can be served`, {
      code: 'PREPARE',
      hint: `choose from: ${platforms.join(', ')}, all`,
    });
  }
  return listed.filter((file) => names.some((name) => means(name, file)));
}

/** Makes files one after the other. One that fails is tried again on a request for it. */
export async function prepare(
  files: readonly ServedFile[],
  store: ImageStore,
  { signal, progress }: { readonly signal: AbortSignal; readonly progress: Progress },
): Promise<void> {
  for (const served of files) {
    if (signal.aborted) return;
    try {
      const { handle } = await store.open(served);
      await handle.close();
    } catch (error) {
      if (signal.aborted) return;
      const subject = served.file.name;
      progress({ type: 'failed', subject, message: `not prepared: ${headline(error)}` });
    }
  }
}
