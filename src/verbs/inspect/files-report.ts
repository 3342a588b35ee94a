import type { Recipes } from '../../bundle/recipes.ts';
import { formatBytes } from '../../core/text/bytes.ts';

/** How the metal disks are made from files, line by line; nothing for those that osmets have. */
export function filesLines({ bases, files }: Pick<Recipes, 'bases' | 'files'>): string[] {
  if (files === undefined) return [];
  const from = [...(files.iso ? ['the ISO'] : []), ...files.containers].join(' or ');
  const disks = Object.entries(bases).flatMap(([variant, base]) =>
    base?.delta ? [`${variant} ${formatBytes(base.delta.size)}`] : [],
  );
  const { lacking } = files;
  return [
    `disks made from ${files.count} files (${formatBytes(files.size)}) of ${from}:` +
      ` list ${formatBytes(files.contents.size)}, deltas ${disks.join(', ')}`,
    ...(lacking.count > 0
      ? [
          `${lacking.count} files (${formatBytes(lacking.bytes)}) are not in every source, so the deltas hold them:`,
          ...lacking.largest.map(({ path, size }) => `  ${path}: ${formatBytes(size)}`),
        ]
      : []),
  ];
}
