/**
 * Makes the delta of one file as dehydrate does: index of the base, taking apart, matching, hashes, recipes. Runs
 * the built program in a process of its own, as other tools run. Prints the bytes of delta and recipes.
 *
 *     node scripts/bench/encode.ts BASE TARGET BUNDLE [--no-hashes]
 *
 * `--no-hashes` leaves out the SHA-256 of file and disk, which other tools do not compute.
 */

import { resolve } from 'node:path';

/** Loads a built module, so that compiling TypeScript does not count. */
const built = (path: string) => import(resolve('dist/src', `${path}.js`));
const { blobsOf }: typeof import('../../src/bundle/recipes.ts') = await built('bundle/recipes');
const { createBundleWriter }: typeof import('../../src/bundle/write.ts') =
  await built('bundle/write');
const { workerPool }: typeof import('../../src/codec/workers/pool.ts') =
  await built('codec/workers/pool');
const { encodeFile }: typeof import('../../src/verbs/dehydrate/encode-file.ts') = await built(
  'verbs/dehydrate/encode-file',
);
const { indexBase }: typeof import('../../src/formats/delta/base-index.ts') = await built(
  'formats/delta/base-index',
);
const { createHasher }: typeof import('../../src/core/io/digest.ts') =
  await built('core/io/digest');
const { openSource }: typeof import('../../src/core/io/source.ts') = await built('core/io/source');
const { silent }: typeof import('../../src/core/progress/progress.ts') =
  await built('core/progress/progress');

const [basePath = '', target = '', bundle = '', noHashes] = process.argv.slice(2);
await using source = await openSource(basePath);
await using threads = workerPool();
const pool = noHashes === undefined ? threads : { ...threads, hashing: notHashing };
await using writer = await createBundleWriter(bundle);
const index = indexBase(source);
index.catch(() => {}); // rethrown when awaited
const encoded = await encodeFile({
  file: { path: target, compression: 'none' },
  // The digest of the base is not used here.
  base: {
    name: 'metal',
    source,
    size: source.size,
    sha256: createHasher().digest(),
    index: () => index,
  },
  attested: { name: target, path: target, file: undefined, target: undefined },
  ...{ writer, pool, progress: silent, subject: target },
});
if (encoded === undefined) throw new Error('any file can be stored unchanged');
console.log(blobsOf(encoded.recipe).reduce((sum, { size }) => sum + size, 0));

function notHashing(): ReturnType<typeof threads.hashing> {
  let bytes = 0;
  return {
    update: async (chunk) => {
      bytes += chunk.length;
    },
    zeros: async (length) => {
      bytes += length;
    },
    files: {
      add: async (_file, _start, length) => {
        bytes += length;
      },
      done: async () => {},
    },
    digest: async () => createHasher().digest(),
    [Symbol.dispose]() {},
    get bytes() {
      return bytes;
    },
  };
}
