import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cli } from '../../../test/support/cli.ts';
import { schemaErrors } from '../../../test/support/schema.ts';
import {
  sha256Of,
  temporaryFolder,
  writeSyntheticBundle,
} from '../../../test/support/synthetic-bundle.ts';
import { writeSyntheticRelease } from '../../../test/support/synthetic-release.ts';
import type { Estimate } from './estimate.ts';

const golden = (name: string) => join(import.meta.dirname, '../../../test/golden/streams', name);

/** Every file of a stream or release JSON, found without the code under test: by its location. */
function locations(path: string): string[] {
  const found: string[] = [];
  JSON.parse(readFileSync(path, 'utf8'), (key, value) => {
    if (key === 'location') found.push(String(value));
    return value;
  });
  return found.sort();
}

async function run(path: string, ...more: string[]) {
  const { code, stdout, stderr } = await cli(['estimate', '--stream', path, '--json', ...more]);
  const made: Estimate = JSON.parse(stdout.toString());
  expect(schemaErrors('estimate', made)).toEqual([]);
  const artifacts = made.architectures.flatMap((one) =>
    one.artifacts.map((artifact) => ({ architecture: one.architecture, ...artifact })),
  );
  return { code, stderr, made, artifacts };
}

test.each(['fcos-stable.json', 'rhcos-4.16.json', 'fcos-release.json'])(
  'real metadata: %s parses, and every artifact in it is covered or named',
  async (name) => {
    const { code, made, artifacts, stderr } = await run(golden(name));
    expect(artifacts.map(({ released }) => released.location).sort()).toEqual(
      locations(golden(name)),
    );
    expect(code, stderr).toBe(0);
    expect(made.unknownArchitectures).toEqual([]);
    for (const { architecture, artifacts: mine, covered } of made.architectures) {
      expect(covered).toBe(mine.length);
      const how = (label: string) => mine.find((one) => one.label === label)?.how;
      expect(how('metal/iso'), architecture).toBe('iso');
      expect(how('qemu')).toBe('container');
    }
    // Nothing is left to the bytes: all platforms of the real streams are known.
    expect(artifacts.filter(({ how }) => how === 'unknown')).toEqual([]);
  },
);

test('estimates for single platforms', async () => {
  const { artifacts } = await run(golden('fcos-stable.json'), '--arch', 'x86_64');
  const of = (label: string) => artifacts.find((artifact) => artifact.label === label);
  expect(of('metal/raw')).toMatchObject({
    how: 'regenerated',
    base: 'metal',
    fileAt: 'not-needed',
  });
  expect(of('metal/4k.raw')).toMatchObject({ how: 'regenerated', base: 'metal4k' });
  expect(of('azure')).toMatchObject({ how: 'delta', container: 'vhd', fileAt: 'fetch' });
  expect(of('metal/pxe/kernel')).toMatchObject({ how: 'delta', base: 'iso' });
  expect(of('aws')?.released.signature).toMatch(/\.sig$/);
  const { artifacts: rhcos } = await run(golden('rhcos-4.16.json'), '--arch', 's390x');
  expect(rhcos.find(({ platform }) => platform === 'qemu-secex')?.how).toBe('encrypted');
  // Only the released file shows how it was compressed, and .gz is a kind that dehydrate tries by default.
  expect(rhcos.find(({ label }) => label === 'metal/raw')).toMatchObject({
    how: 'regenerated',
    fileAt: 'fetch',
  });
});

test('other release, missing ISO, local files: reported, with exit code 5', async () => {
  await using root = await temporaryFolder();
  const release = await writeSyntheticRelease(join(root.path, 'release'), {
    arches: ['x86_64', 's390x'],
  });
  await release.edit((artifacts) => {
    if (artifacts.qemu) artifacts.qemu.release = '41.9';
  });
  await release.edit((artifacts) => {
    delete artifacts.metal?.formats.iso;
  }, 's390x');
  const { code, artifacts, stderr } = await run(release.streamPath, '--artifacts', release.folder);
  expect(code).toBe(5);
  expect(stderr).toContain('ESTIMATE_UNCOVERED');
  const of = (architecture: string, label: string) =>
    artifacts.find((one) => one.architecture === architecture && one.label === label);
  expect(of('x86_64', 'qemu')).toMatchObject({
    how: 'uncovered',
    note: 'it is of release 41.9, the ISO of 42.1',
  });
  expect(of('x86_64', 'nutanix')?.fileAt).toBe('at-hand');
  expect(of('s390x', 'qemu')?.note).toBe('the stream has no live ISO for s390x');
  const text = await cli(['estimate', '--stream', release.streamPath, '--arch', 'x86_64']);
  expect(text.stdout.toString()).toMatch(/^qemu +41\.9 +NOT COVERED/m);
});

test('the stream JSON in the bundle is printed byte for byte', async () => {
  await using folder = await temporaryFolder();
  const { path, recipes } = await writeSyntheticBundle(folder.path, {
    arches: ['x86_64', 's390x'],
  });
  const { code, stdout } = await cli(['stream', '-b', path]);
  expect(code).toBe(0);
  expect(sha256Of(stdout)).toBe(recipes.stream.sha256);
  expect((await cli(['stream', '-b', path, '-a', 's390x'])).stdout).toEqual(stdout);
  expect(await cli(['stream', '-b', path, '-a', 'aarch64'])).toMatchObject({ code: 5 });
});
