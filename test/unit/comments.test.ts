import { readdirSync, readFileSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { expect, test } from 'vitest';

const ROOTS = ['src', 'vm', 'images', 'scripts', 'fixtures', 'test', 'docs'];
const files = [
  ...ROOTS.flatMap((root) =>
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name)),
  ),
  ...readdirSync('.', { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name),
];

/** File names with suffixes that mean a file of this project; `.rs` in a comment mostly names coreos-installer's source. */
const NAMES = /(?<![\w@:./-])[\w@./-]*\w\.(?:test\.)?(?:ts|sh|md|txt|wasm)\b(?![/(])/g;
/** Specifications and scripts from other projects. */
const FOREIGN: ReadonlySet<string> = new Set([
  ...[
    'descriptor.md',
    'image-index.md',
    'image-layout.md',
    'layer.md',
    'manifest.md',
    'media-types.md',
  ],
  ...['doc/lz4_Block_format.md', 'doc/xz-file-format.txt', 'lzma-specification.txt'],
  'create_disk.sh',
]);

/** The comments of a source file, one per line. Good enough to find names: a string that looks like a comment also counts. */
function* commentsOf(path: string): Generator<{ readonly line: number; readonly text: string }> {
  const shell = extname(path) === '.sh';
  if (!shell && !['.ts', '.c', '.rs', '.go'].includes(extname(path))) return;
  const comment = shell
    ? /^\s*#(?!!)(.*)|\s#\s(.*)/
    : /^\s*(?:\/\/|\/?\*)(.*)|\s\/\/\s(.*)|\/\*(.*)/;
  for (const [index, text] of readFileSync(path, 'utf8').split('\n').entries()) {
    const found = comment.exec(text);
    if (found) yield { line: index + 1, text: found.slice(1).join('') };
  }
}

/** Names in a comment that match no file: a bare name may be anywhere, a path must be the end of a file's path. */
function missing(text: string): string[] {
  return (text.match(NAMES) ?? []).filter((name) => {
    const wanted = name.replace(/^(?:\.{1,2}\/)+/, '');
    if (FOREIGN.has(wanted) || wanted.startsWith('.')) return false;
    return !files.some((file) => file === wanted || file.endsWith(`/${wanted}`));
  });
}

test('comments name only files that exist', () => {
  const stale = files.flatMap((path) =>
    [...commentsOf(path)].flatMap(({ line, text }) =>
      missing(text).map((name) => `${path}:${line}: ${name}`),
    ),
  );
  expect(stale).toEqual([]);
});

test('a name that matches no file is found', () => {
  expect(missing(`see ${basename(import.meta.filename)} and src/core/no-such-file.ts`)).toEqual([
    'src/core/no-such-file.ts',
  ]);
});

test('every {@link} names something in the code', () => {
  const sources = files.filter((path) => extname(path) === '.ts');
  const texts = sources.map((path) => readFileSync(path, 'utf8'));
  const words = new Set(
    texts
      .join('\n')
      .replace(/\{@link [^}]*\}/g, '')
      .match(/\w+/g),
  );
  const stale = sources.flatMap((path, index) =>
    [...(texts[index] ?? '').matchAll(/\{@link (\w+)(?:\.(\w+))?\}/g)]
      .filter(([, ...names]) => names.some((name) => name && !words.has(name)))
      .map(([link]) => `${path}: ${link}`),
  );
  expect(stale).toEqual([]);
});
