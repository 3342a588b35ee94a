/**
 * `node files-run.ts BUNDLE ARCH iso|container SOURCE CACHE`: makes the metal disk of a bundle from files, with an
 * empty cache. Prints the seconds of each step: `unpack` makes the base, `patch` the disk.
 */
import { openBundle } from '../../src/bundle/read.ts';
import { silent } from '../../src/core/progress/progress.ts';
import { openMetalCache } from '../../src/engine/cache/metal-cache.ts';
import { metalsFromFiles } from '../../src/engine/files/regenerate.ts';
import { openIsoSource } from '../../src/engine/files/sources/iso.ts';
import { openContainer } from '../../src/engine/files/sources/open-container.ts';
import { openRootImageIso } from '../../src/formats/iso/root-image.ts';

const [folder = '', arch = '', kind, source = '', dir = ''] = process.argv.slice(2);
const bundle = await openBundle(folder);
const recipes = bundle.recipes.find(({ architecture }) => architecture === arch);
const { files, bases } = recipes ?? {};
if (recipes === undefined || files === undefined || bases?.metal === undefined) {
  throw new Error(`${folder} does not make the metal disk of ${arch} from files`);
}
await using cache = await openMetalCache({ dir, maxBytes: 2 ** 45 });
const open = async () => {
  const scratch = await cache.scratch();
  if (kind === 'iso') {
    const { rootImage } = await openRootImageIso(source);
    return openIsoSource({ iso: source, rootImage, scratch });
  }
  const connect = () => Promise.reject(new Error('name a path'));
  return openContainer(source, { arch: recipes.architecture, scratch, connect });
};
const { sources, report } = await metalsFromFiles(new Map([['metal', bases.metal]]), {
  ...{ bundle, files, cache, sources: [open], progress: silent },
});
await sources.get('metal')?.close();
console.log(JSON.stringify({ ...report.seconds, from: report.detail }));
