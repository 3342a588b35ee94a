import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import * as v from 'valibot';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pick } from './support/fixture.ts';
import { sha256sum } from './support/judge.ts';
import { releaseBundle } from './support/release-bundle.ts';

/*
 * Hosts that have no prebuilt binary of the native addons (s390x, ppc64le, musl): the package as `npm install` leaves
 * it there, without them.
 */
let folder: string;
let bin: string;
beforeAll(async () => {
  // Outside of the checkout, whose node_modules would be found on the way up.
  folder = await mkdtemp(join(tmpdir(), 'addons-'));
  bin = join(folder, 'package/dist/src/cli/bin.js');
  await mkdir(join(folder, 'package/node_modules/@commander-js'), { recursive: true });
  await mkdir(join(folder, 'package/node_modules/@xterm'));
  await cp('dist', join(folder, 'package/dist'), { recursive: true });
  await cp('package.json', join(folder, 'package/package.json'));
  const Package = v.object({
    dependencies: v.record(v.string(), v.string()),
    optionalDependencies: v.record(v.string(), v.string()),
  });
  const { dependencies, optionalDependencies } = v.parse(
    Package,
    JSON.parse(await readFile('package.json', 'utf8')),
  );
  expect(Object.keys(optionalDependencies).sort()).toEqual(['@lydell/node-pty', 'koffi']);
  for (const name of Object.keys(dependencies)) {
    const from = resolve('node_modules', name);
    await symlink(from, join(folder, 'package/node_modules', name), 'dir');
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const cli = (args: readonly string[]) => execa(process.execPath, [bin, ...args], { reject: false });

test('without addons: locks and holes, as with them', async () => {
  const script = `
    import { open } from 'node:fs/promises';
    import * as libc from './package/dist/src/core/io/libc.js';
    import { dataRanges } from './package/dist/src/engine/native/data-ranges.js';
    const file = await open('sparse', 'w+');
    await file.truncate(64 << 20);
    await file.write(Buffer.alloc(5000, 1), 0, 5000, 8 << 20);
    await file.write(Buffer.alloc(3 << 20, 2), 0, 3 << 20, 32 << 20);
    const other = await open('sparse', 'r');
    const locks = [libc.tryLock(file.fd), libc.tryLock(other.fd)];
    const data = [...dataRanges(file.fd, 0, 64 << 20)];
    await file.close();
    locks.push(libc.tryLock(other.fd));
    console.log(JSON.stringify({ locks, data, duplicate: libc.duplicate(other.fd) }));
    libc.exitNow(7);`;
  await writeFile(join(folder, 'libc.mjs'), script);
  const { stdout, exitCode } = await execa(process.execPath, ['libc.mjs'], {
    cwd: folder,
    reject: false,
  });
  const { locks, data, duplicate } = JSON.parse(stdout);
  expect(locks).toEqual(['locked', 'busy', 'locked']);
  // Regions may be told in parts.
  const joined = data.filter((bound: number) => data.indexOf(bound) === data.lastIndexOf(bound));
  expect(joined).toEqual([8 << 20, (8 << 20) + 8192, 32 << 20, 35 << 20]);
  expect(duplicate).toBe(-1);
  expect(exitCode).toBe(7);
});

test('without addons: inspect, and an image by the native engine', async () => {
  const { bundle } = await releaseBundle();
  expect((await cli(['inspect', bundle])).exitCode).toBe(0);
  const target = join(folder, 'native.qcow2');
  const { exitCode, stderr } = await cli([
    ...['--bundle', bundle, '--arch', 'x86_64', '--platform', 'qemu', '--engine', 'native'],
    ...['--no-cache', '--quiet', '-o', target],
  ]);
  expect(exitCode, stderr).toBe(0);
  expect(await sha256sum(target)).toBe(pick('qemu', 'qcow2.xz').sha256);
});

test('without addons: the VM’s console is on a terminal that QEMU makes', async () => {
  const { bundle } = await releaseBundle();
  const target = join(folder, 'metal.raw');
  const { exitCode, stderr } = await cli([
    ...['--bundle', bundle, '--arch', 'x86_64', '--platform', 'metal', '--format', 'raw.xz'],
    ...['--engine', 'qemu', '--accel', 'tcg', '--no-cache', '--quiet', '-o', target],
  ]);
  expect(exitCode, stderr).toBe(0);
  expect(await sha256sum(target)).toBe(pick('metal', 'raw.xz').sha256);
});
