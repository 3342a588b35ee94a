import { mkdir, open, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { noise, sha256Of, temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { hashFile } from '../../core/io/hash-file.ts';
import { type MetalCache, openMetalCache } from './metal-cache.ts';

const MIB = 1 << 20;

async function admit(cache: MetalCache, bytes: Buffer) {
  const path = join(await cache.scratch(), 'metal.raw');
  await writeFile(path, bytes);
  const base = { sha256: sha256Of(bytes), size: bytes.length };
  await using source = await cache.admit(path, base);
  expect(source.size).toBe(bytes.length);
  return base;
}

test('an admitted disk is found again, even by another process', async () => {
  await using folder = await temporaryFolder();
  await using cache = await openMetalCache({ dir: folder.path, maxBytes: 100 * MIB });
  const base = await admit(cache, noise(MIB, 'a'));
  await using other = await openMetalCache({ dir: folder.path, maxBytes: 100 * MIB });
  await using found = await other.lookup(base);
  expect(found?.size).toBe(MIB);
  expect((await hashFile(found?.name ?? '')).sha256).toBe(base.sha256);
  expect(await other.lookup({ ...base, sha256: sha256Of(Buffer.from('x')) })).toBeUndefined();
});

test('a wrong disk is refused and never enters', async () => {
  await using folder = await temporaryFolder();
  await using cache = await openMetalCache({ dir: folder.path, maxBytes: 100 * MIB });
  const path = join(await cache.scratch(), 'metal.raw');
  const bytes = noise(5000, 'a');
  await writeFile(path, bytes);
  const wrong = { sha256: sha256Of(Buffer.from('other')), size: 5000 };
  await expect(cache.admit(path, wrong)).rejects.toMatchObject({ code: 'BASE_DIGEST' });
  await expect(cache.admit(path, { ...wrong, size: 5001 })).rejects.toMatchObject({
    code: 'BASE_SIZE',
  });
  expect(await readdir(join(folder.path, 'metal'))).toEqual([]);
});

test('admitting digs holes and keeps the content', async () => {
  await using folder = await temporaryFolder();
  await using cache = await openMetalCache({ dir: folder.path, maxBytes: 100 * MIB });
  const bytes = Buffer.concat([noise(MIB, 'a'), Buffer.alloc(6 * MIB), noise(MIB, 'b')]);
  const base = await admit(cache, bytes);
  await using found = await cache.lookup(base);
  const path = found?.name ?? '';
  expect((await hashFile(path)).sha256).toBe(base.sha256);
  expect((await stat(path)).blocks * 512).toBeLessThan(3 * MIB);
});

test('a disk that was touched after it was sealed is dropped', async () => {
  await using folder = await temporaryFolder();
  await using cache = await openMetalCache({ dir: folder.path, maxBytes: 100 * MIB });
  const base = await admit(cache, noise(MIB, 'a'));
  const path = join(folder.path, 'metal', `${base.sha256}.raw`);
  {
    await using handle = await open(path, 'r+'); // root ignores the read-only mode
    await handle.write(Buffer.from('x'), 0, 1, 5000);
  }
  expect(await cache.lookup(base)).toBeUndefined();
  expect(await readdir(join(folder.path, 'metal'))).toEqual([]);
});

test('least recently used disks go first, open ones stay readable', async () => {
  await using folder = await temporaryFolder();
  await using cache = await openMetalCache({ dir: folder.path, maxBytes: 2.5 * MIB });
  const a = await admit(cache, noise(MIB, 'a'));
  const b = await admit(cache, noise(MIB, 'b'));
  await using inUse = await cache.lookup(b);
  // a was used later than b
  const age = async ({ sha256 }: { sha256: string }, seconds: number) => {
    const path = join(folder.path, 'metal', `${sha256}.raw`);
    await utimes(path, Date.now() / 1000 - seconds, (await stat(path)).mtimeMs / 1000);
  };
  await age(a, 10);
  await age(b, 100);
  const c = await admit(cache, noise(MIB, 'c'));
  expect((await readdir(join(folder.path, 'metal'))).sort()).toEqual(
    [a, c].map(({ sha256 }) => `${sha256}.raw`).sort(),
  );
  const buffer = Buffer.alloc(MIB);
  await inUse?.read(buffer, 0);
  expect(sha256Of(buffer)).toBe(b.sha256);
});

test('a cache folder is made only when there is something to keep', async () => {
  await using folder = await temporaryFolder();
  const dir = join(folder.path, 'a/cache');
  await using cache = await openMetalCache({ dir, maxBytes: 100 * MIB });
  expect(await cache.lookup({ sha256: sha256Of(Buffer.from('x')), size: 1 })).toBeUndefined();
  expect(await readdir(folder.path)).toEqual([]);
  await Promise.all([cache.scratch(), cache.scratch()]);
  expect((await readdir(dir)).map((name) => name.replace(/-.*/, '-'))).toEqual(['metal', 'work-']);
});

test('a cache without room still serves the current disk', async () => {
  await using folder = await temporaryFolder();
  await using cache = await openMetalCache({ dir: folder.path, maxBytes: 0 });
  const bytes = noise(MIB, 'a');
  const path = join(await cache.scratch(), 'metal.raw');
  await writeFile(path, bytes);
  await using source = await cache.admit(path, { sha256: sha256Of(bytes), size: MIB });
  expect(await readdir(join(folder.path, 'metal'))).toEqual([]);
  const buffer = Buffer.alloc(MIB);
  await source.read(buffer, 0);
  expect(buffer.equals(bytes)).toBe(true);
});

test('scratch of killed processes is removed at once, that of running ones stays and counts', async () => {
  await using folder = await temporaryFolder();
  const lost = join(folder.path, 'work-abc123');
  await mkdir(lost);
  await writeFile(join(lost, 'metal.raw'), 'x');
  await writeFile(join(folder.path, 'work-notes.txt'), 'not ours');
  await mkdir(join(folder.path, 'work-by-hand'));
  await using running = await openMetalCache({ dir: folder.path, maxBytes: 1 << 20 });
  const held = await running.scratch();
  await writeFile(join(held, 'other.raw'), noise(900_000, 'other'));
  await using cache = await openMetalCache({ dir: folder.path, maxBytes: 1 << 20 });
  const kept = ['metal', basename(held), 'work-by-hand', 'work-notes.txt'].sort();
  expect((await readdir(folder.path)).sort()).toEqual(kept);

  const bytes = noise(400_000, 'disk');
  const path = join(await cache.scratch(), 'metal.raw');
  await writeFile(path, bytes);
  const base = { sha256: sha256Of(bytes), size: bytes.length };
  await (await cache.admit(path, base)).close();
  // Together with what is in the making it is too much.
  expect(await readdir(join(folder.path, 'metal'))).toEqual([]);
});

test('a folder that cannot be used is an IoError', async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'file');
  await writeFile(file, '');
  await expect(openMetalCache({ dir: file, maxBytes: 0 })).rejects.toMatchObject({ kind: 'io' });
  await rm(file);
});

test('concurrent calls share one scratch folder, which is removed', async () => {
  await using folder = await temporaryFolder();
  {
    await using cache = await openMetalCache({ dir: folder.path, maxBytes: MIB });
    const [first, second] = await Promise.all([cache.scratch(), cache.scratch()]);
    expect(first).toBe(second);
    expect(await readdir(folder.path)).toHaveLength(2);
  }
  expect(await readdir(folder.path)).toEqual(['metal']);
});
