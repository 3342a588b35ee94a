import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { cli } from '../../test/support/cli.ts';
import { fileServer } from '../../test/support/file-server.ts';
import { temporaryFolder, writeSyntheticBundle } from '../../test/support/synthetic-bundle.ts';
import {
  type SyntheticRelease,
  writeSyntheticRelease,
} from '../../test/support/synthetic-release.ts';
import { memorySource } from '../core/io/memory-source.ts';
import { readIgnitionArea } from '../formats/iso/embed-area.ts';
import { openIso9660 } from '../formats/iso/iso9660.ts';

/** Missing tools are reported before the work that would need them at its end. The engine here must not be called. */

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let release: SyntheticRelease;
const at = (...names: string[]) => join(folder.path, ...names);

beforeEach(async () => {
  folder = await temporaryFolder();
  release = await writeSyntheticRelease(at('release'));
  await mkdir(at('empty'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await folder[Symbol.asyncDispose]();
});

const dehydrate = (...more: string[]) =>
  cli([
    ...['dehydrate', '--stream', release.streamPath, '-o', at('bundle')],
    ...['--cache-dir', at('cache'), ...more],
  ]);

test('xz, when a released file is compressed with it', async () => {
  vi.stubEnv('PATH', at('empty'));
  // Only a file that has to be read: the ISO unpacks to metal itself.
  await release.edit((artifacts) => {
    const disk = artifacts.metal?.formats['raw.xz']?.disk;
    if (disk)
      artifacts.openstack = { release: '42.1', formats: { 'raw.xz': { disk: { ...disk } } } };
  });
  expect(await dehydrate('--artifacts', release.folder)).toMatchObject({
    code: 8,
    stderr: expect.stringMatching(/TOOL_MISSING[\s\S]*xz-utils/),
  });
  expect(await readdir(folder.path)).not.toContain('bundle');
});

test('gpgv, before a file is downloaded', async () => {
  const files = new Map<string, Buffer>();
  for (const name of await readdir(release.folder)) {
    files.set(`x86_64/${name}`, await readFile(join(release.folder, name)));
  }
  await using server = await fileServer(files);
  const text = await readFile(release.streamPath, 'utf8');
  await writeFile(release.streamPath, text.replaceAll('https://example.com', server.url));
  await writeFile(at('keys.gpg'), Buffer.from([0x99, 0, 1, 4]));
  vi.stubEnv('PATH', at('empty'));
  const download = ['--artifacts', at('downloads'), '--download', '--keyring', at('keys.gpg')];
  expect(await dehydrate(...download)).toMatchObject({
    code: 8,
    stderr: expect.stringMatching(/TOOL_MISSING[\s\S]*Debian: gpgv/),
  });
  // The ISO says what is needed, so it comes first.
  expect(server.requests.filter((request) => !request.includes('live.iso'))).toEqual([]);
});

test('an unusable cache folder: the hint suggests another one', async () => {
  await writeFile(at('file'), '');
  await mkdir(at('taken'));
  await writeFile(at('taken/metal'), '');
  const { path } = await writeSyntheticBundle(folder.path);
  for (const cache of ['file', 'file/cache', 'taken']) {
    const argv = ['-p', 'qemu', '-b', path, '-o', at('out/'), '--cache-dir', at(cache)];
    const { code, stderr } = await cli(argv);
    expect(code, stderr).toBe(7);
    expect(stderr).toMatch(/^fix: .*--cache-dir/m);
  }
});

test('a customised ISO: the hint says how to undo that', async () => {
  const { path, recipes } = await writeSyntheticBundle(folder.path);
  const golden = join(release.folder, 'x-live.iso');
  await copyFile(golden, at('own.iso'));
  const argv = ['-p', 'metal/iso', '-b', path, '-o', at('out/'), '--iso', at('own.iso')];
  const other = await cli([...argv, '--no-cache']);
  expect(other).toMatchObject({ code: 4, stderr: expect.stringContaining('ISO_WRONG') });
  expect(other.stderr).not.toContain('coreos-installer');
  // As `coreos-installer iso ignition embed` does: an initrd archive in the area that was zeros.
  const bytes = await readFile(golden);
  const area = await readIgnitionArea(await openIso9660(memorySource(bytes, 'own.iso')));
  expect(area?.empty).toBe(true);
  bytes.write('070701 an Ignition config', area?.offset ?? 0);
  await writeFile(at('own.iso'), bytes);
  const { code, stderr } = await cli([...argv, '--no-cache']);
  expect(code, stderr).toBe(4);
  expect(stderr).toMatch(/an Ignition config is embedded \[ISO_WRONG\]/);
  expect(stderr).toMatch(new RegExp(`^fix: .*coreos-installer iso reset ${at('own.iso')}`, 'm'));
  expect(stderr).toContain(recipes.iso.name);
});
