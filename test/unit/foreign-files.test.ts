import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

/**
 * Functions that open or read a file without checking its type: a FIFO hangs them, and `/dev/zero` fills the memory.
 * Files made by others must go through src/core/io/regular.ts.
 */
const BARE = ['createReadStream', 'open', 'openAsBlob', 'openSync', 'readFile', 'readFileSync'];

/** Files that may import them, with the reason: the file is our own, or was opened before. */
const ALLOWED: Readonly<Record<string, string>> = {
  'src/core/io/regular.ts': 'the helper itself',
  'src/core/io/atomic.ts': 'a new file, and the folder that it is in',
  'src/bundle/write.ts': 'a new file',
  'src/cli/main.ts': "the kernel's information about standard output",
  'src/cli/version.ts': 'the package itself',
  'src/codec/deflate/module.ts': 'the package itself',
  'src/core/io/unnamed.ts': 'a new file',
  'src/codec/released/xz/module.ts': 'the package itself',
  'src/core/io/device.ts': "a block device, and the kernel's information about it",
  'src/core/io/part.ts': 'opened without blocking, and its type checked',
  'src/core/io/scratch.ts': 'opened without blocking, and its type checked',
  'src/engine/cache/blob-cache.ts': 'a new file',
  'src/engine/cache/metal-cache.ts': 'a disk that an engine has just made',
  'src/engine/files/copy-within.ts': 'a base of our own',
  'src/engine/files/lay-out.ts': 'a new file',
  'src/engine/files/make-file.ts': 'a new file',
  'src/engine/files/regenerate.ts': 'a new file',
  'src/engine/qemu/qemus-terminal.ts': 'the terminal that QEMU has opened',
  'src/engine/files/workers/read-layer.ts': 'a layer that was checked',
  'src/engine/files/workers/read-paths.ts': 'opened without blocking, and its type checked',
  'src/engine/files/workers/taker.ts': 'a new file',
  'src/engine/native/workers/disk-writer.ts': 'a disk that the main thread has made',
  'src/engine/native/workers/file-reader.ts': 'an ISO that the main thread has open',
  'src/engine/native/write-disks.ts': 'disks that the engine has made',
  'src/engine/outputs.ts': 'new files',
  'src/engine/qemu/accel.ts': '/dev/kvm',
  'src/engine/qemu/guest-clock.ts': "the kernel's information about QEMU",
  'src/engine/qemu/console.ts': 'a new file',
  'src/formats/rootfs/squashfs/module.ts': 'the package itself',
  'src/registry/upload.ts': 'a blob that was checked',
  'src/verbs/dehydrate/released-metal.ts': 'a new file',
  'src/verbs/serve/connections.ts': 'the limits of this process',
  'src/verbs/serve/image-store.ts': 'opened without blocking, and its type checked',
};

/** The bare functions that a file imports; `*` for a whole module. */
function bareImports(text: string): string[] {
  const found: string[] = [];
  for (const { groups = {} } of text.matchAll(
    /^import (?<clause>[^;]*?) from 'node:fs(?:\/promises)?'/gm,
  )) {
    const { clause = '' } = groups;
    const list = clause.match(/\{(?<names>[^}]*)\}/)?.groups?.names;
    if (list === undefined) found.push('*');
    const names = (list ?? '').split(',').map((name) => name.trim().split(' as ')[0] ?? '');
    found.push(...names.filter((name) => BARE.includes(name)));
  }
  return found;
}

describe('files made by others', () => {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => join('src', name));
  const bare = files.filter((file) => bareImports(readFileSync(join(ROOT, file), 'utf8')).length);

  test('are opened only by src/core/io/regular.ts', () => {
    expect(bare.filter((file) => ALLOWED[file] === undefined)).toEqual([]);
  });

  test('have no unused exceptions', () => {
    expect(Object.keys(ALLOWED).filter((file) => !bare.includes(file))).toEqual([]);
  });

  test.each([
    [`import { readFile } from 'node:fs/promises';`, ['readFile']],
    [`import {\n  mkdir,\n  open as o,\n} from 'node:fs/promises';`, ['open']],
    [`import fs from 'node:fs';`, ['*']],
    [`import { type FileHandle, stat } from 'node:fs/promises';`, []],
  ])('%s', (text, names) => {
    expect(bareImports(text)).toEqual(names);
  });
});
