/**
 * The delta of one file, as dehydrate makes it, in a process of its own like the peers': index of the base,
 * taking apart, matching, hashes, recipes. Runs what `npm run build` made. Prints the bytes of delta and recipes.
 *
 *     node scripts/bench/encode.ts BASE TARGET BUNDLE
 */

import { resolve } from 'node:path';

/** A module as it is installed: the peers are not compiled anew for each run either. */
const built = (path: string) => import(resolve('dist/src', `${path}.js`));
const { blobsOf }: typeof import('../../src/bundle/recipes.ts') = await built('bundle/recipes');
const { createBundleWriter }: typeof import('../../src/bundle/write.ts') =
  await built('bundle/write');
const { workerPool }: typeof import('../../src/codec/workers/pool.ts') =
  await built('codec/workers/pool');
const { encodeFile }: typeof import('../../src/dehydrate/encode-file.ts') =
  await built('dehydrate/encode-file');
const { indexBase }: typeof import('../../src/delta/base-index.ts') =
  await built('delta/base-index');
const { createHasher }: typeof import('../../src/io/digest.ts') = await built('io/digest');
const { openSource }: typeof import('../../src/io/source.ts') = await built('io/source');
const { silent }: typeof import('../../src/progress.ts') = await built('progress');

const [basePath = '', target = '', bundle = ''] = process.argv.slice(2);
await using source = await openSource(basePath);
await using pool = workerPool();
await using writer = await createBundleWriter(bundle);
const index = indexBase(source);
index.catch(() => {}); // thrown to who asks for it
const { recipe } = await encodeFile({
  file: { path: target, compression: 'none' },
  // Nothing here looks at the digest of the base.
  base: {
    name: 'metal',
    source,
    size: source.size,
    sha256: createHasher().digest(),
    index: () => index,
  },
  ...{ writer, pool, progress: silent, subject: target, prove: () => {} },
});
console.log(blobsOf(recipe).reduce((sum, { size }) => sum + size, 0));
