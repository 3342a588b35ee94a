/**
 * The delta of one file, as dehydrate makes it, in a process of its own like the peers': index of the base,
 * taking apart, matching, recipes. Prints the bytes of delta and recipes.
 *
 *     node scripts/bench/encode.ts BASE TARGET BUNDLE
 */

import { blobsOf } from '../../src/bundle/recipes.ts';
import { createBundleWriter } from '../../src/bundle/write.ts';
import { workerPool } from '../../src/codec/workers/pool.ts';
import { encodeFile } from '../../src/dehydrate/encode-file.ts';
import { indexBase } from '../../src/delta/base-index.ts';
import { createHasher } from '../../src/io/digest.ts';
import { openSource } from '../../src/io/source.ts';
import { silent } from '../../src/progress.ts';

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
