import { readdir, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nativeIso } from '../../../test/support/native-iso.ts';
import { noise, sha256Of, temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { closeAll } from '../../core/io/source.ts';
import { silent } from '../../core/progress/progress.ts';
import type { EngineReport, MetalEngine } from '../engine.ts';
import { createNativeEngine } from '../native/index.ts';
import { openMetalCache } from './metal-cache.ts';
import { disksOf, recallRun, rememberRun } from './provenance.ts';

const engine = (name: MetalEngine['name']): MetalEngine => ({
  name,
  regenerate: () => Promise.reject(new Error('not to be asked')),
});

/** Which engines' users may rest on a run by which. */
test.each<[EngineReport['engine'], MetalEngine['name'][]]>([
  ['qemu', ['qemu', 'auto']],
  ['native', ['native', 'auto']],
  ['both', ['qemu', 'native', 'both', 'auto']],
])('a run by %s is one for %j', async (ran, expected) => {
  await using folder = await temporaryFolder();
  await using cache = await openMetalCache({ dir: folder.path, maxBytes: 1 << 30 });
  const bytes = noise(100_000, 'disk');
  const base = { sha256: sha256Of(bytes), size: bytes.length };
  const path = join(await cache.scratch(), 'metal.raw');
  await writeFile(path, bytes);
  await (await cache.admit(path, base, { digest: base.sha256 })).close();
  const iso = sha256Of(noise(10, 'iso'));
  const wanted = new Map([['metal', base]] as const);
  await rememberRun(cache, iso, wanted, { engine: ran, detail: 'a run', seconds: {} });
  const served: string[] = [];
  for (const name of ['qemu', 'native', 'both', 'auto'] as const) {
    const run = await recallRun(cache, iso, wanted, { engine: engine(name), progress: silent });
    if (run === undefined) continue;
    expect(run.report).toMatchObject({ engine: ran, detail: expect.stringContaining('a run') });
    await closeAll(run.sources);
    served.push(name);
  }
  expect(served).toEqual(expected);
});

test('a digest that is already known is compared anyway', async () => {
  await using folder = await temporaryFolder();
  await using cache = await openMetalCache({ dir: folder.path, maxBytes: 1 << 30 });
  const path = join(await cache.scratch(), 'metal.raw');
  await writeFile(path, noise(5000, 'disk'));
  const base = { sha256: sha256Of(noise(5000, 'disk')), size: 5000 };
  const digest = sha256Of(noise(5000, 'other'));
  await expect(cache.admit(path, base, { digest })).rejects.toMatchObject({ code: 'BASE_DIGEST' });
});

test('a run that cannot be recorded leaves no disk open', async () => {
  await using folder = await temporaryFolder();
  const { iso: live, disks } = await nativeIso(folder.path);
  const dir = join(folder.path, 'cache');
  await using cache = await openMetalCache({ dir, maxBytes: 1 << 30 });
  await cache.scratch();
  await writeFile(join(dir, 'runs'), '');
  const [osmet] = live.osmets;
  const disk = disks.get('metal');
  if (osmet === undefined || disk === undefined) throw new Error('no metal');
  const wanted = new Map([['metal', { sha256: osmet.checksum, size: disk.length }]] as const);
  const iso = { live, sha256: sha256Of(Buffer.from('iso')) };
  const options = { cache, engine: createNativeEngine(), progress: silent };
  await expect(disksOf(iso, wanted, options)).rejects.toMatchObject({ kind: 'io' });
  const links = await Promise.all(
    (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  );
  expect(links.filter((link) => link.startsWith(join(dir, 'metal')))).toEqual([]);
});
