import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RehydrateError } from '../core/errors.ts';
import type { Sha256 } from '../core/io/digest.ts';
import {
  blobsOfBase,
  decodeRecipes,
  encodeRecipes,
  type RecipeArtifact,
  type Recipes,
} from './recipes.ts';

const sha = (digit: string) => digit.repeat(64) as Sha256;

function artifact(platform: string, more: Partial<RecipeArtifact> = {}): RecipeArtifact {
  return {
    platform,
    format: 'qcow2.xz',
    file: 'disk',
    release: '42.1',
    name: `x-${platform}.qcow2`,
    size: 7,
    sha256: sha('7'),
    attestation: 'uncompressed-sha256',
    compression: 'xz',
    container: 'qcow2',
    released: { name: `x-${platform}.qcow2.xz`, location: 'https://h/x', sha256: sha('8') },
    recipe: { kind: 'delta', base: 'metal', delta: { sha256: sha('9'), size: 3 } },
    ...more,
  };
}

const RECIPES: Recipes = {
  schemaVersion: 2,
  architecture: 's390x',
  release: '42.1',
  stream: { name: 'stable', sha256: sha('1'), size: 1 },
  iso: {
    name: 'live.iso',
    location: 'https://h/live.iso',
    sha256: sha('2'),
    size: 2,
    embedded: true,
  },
  bases: { metal: { sha256: sha('3'), size: 3 } },
  artifacts: [
    artifact('metal', { format: 'iso', sha256: sha('2'), size: 2, recipe: { kind: 'iso' } }),
    artifact('metal', { sha256: sha('3'), size: 3, recipe: { kind: 'base', base: 'metal' } }),
    artifact('qemu'),
  ],
  missing: [
    {
      platform: 'aws',
      format: 'vmdk',
      file: 'disk',
      release: '42.1',
      name: 'a.vmdk',
      reason: 'no',
    },
  ],
};

/** The same release, its disk made from files. */
const FILES: Recipes = {
  ...RECIPES,
  schemaVersion: 3,
  bases: { metal: { sha256: sha('3'), size: 3, delta: { sha256: sha('a'), size: 4 } } },
  files: {
    ...{ sha256: sha('b'), size: 4096, contents: { sha256: sha('c'), size: 5 }, count: 1 },
    ...{ iso: true, containers: ['quay.io/fedora/fedora-coreos:stable'] },
    lacking: { count: 1, bytes: 7, largest: [{ path: 'usr/bin/a', size: 7 }] },
  },
};

const decode = (recipes: unknown) => decodeRecipes(Buffer.from(JSON.stringify(recipes)), 's');

test('recipes round trip, whatever the order of their keys', () => {
  const bytes = encodeRecipes(RECIPES);
  expect(decodeRecipes(bytes, 's')).toEqual(RECIPES);
  const shuffled = JSON.parse(JSON.stringify(RECIPES), (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).reverse())
      : value,
  ) as Recipes;
  expect(encodeRecipes(shuffled)).toEqual(bytes);
});

test('recipes with the base files are of a version that older programs refuse', () => {
  expect(decode(FILES)).toEqual(FILES);
  expect(blobsOfBase(FILES, 'metal').map(({ size }) => size)).toEqual([5, 4]);
  expect(blobsOfBase(FILES, 'iso')).toEqual([]);
  expect(blobsOfBase(RECIPES, 'metal')).toEqual([]);
  expect(encodeRecipes(RECIPES).toString()).not.toContain('files');
});

test('a different schema version is refused with a clear message', () => {
  expect(() => decode({ ...RECIPES, schemaVersion: 4 })).toThrow(
    /another version of iso-rehydrate/,
  );
});

test('names that are paths or terminal codes are refused', () => {
  for (const name of ['../x', '/etc/passwd', 'a/b', '.', '\x1b[2J']) {
    expect(() => decode({ ...RECIPES, artifacts: [artifact('qemu', { name })] })).toThrow(
      expect.objectContaining({
        context: expect.objectContaining({ jsonPath: '$.artifacts[0].name' }),
      }),
    );
  }
});

test('inconsistent recipes are refused', () => {
  const { iso } = RECIPES;
  const cases: [string, unknown][] = [
    ['RECIPES_TWICE', { ...RECIPES, artifacts: [artifact('qemu'), artifact('qemu')] }],
    ['RECIPES_BASE', { ...RECIPES, bases: {} }],
    ['RECIPES_BASE', { ...RECIPES, schemaVersion: 3 }],
    ['RECIPES_BASE', { ...FILES, schemaVersion: 2 }],
    ['RECIPES_BASE', { ...FILES, files: undefined }],
    ['RECIPES_BASE', { ...FILES, bases: RECIPES.bases }],
    ['RECIPES_CONFLICT', { ...RECIPES, iso: { ...iso, sha256: sha('f') } }],
    ['RECIPES_CONFLICT', { ...RECIPES, iso: { ...iso, size: 99 } }],
    ['RECIPES_CONFLICT', { ...RECIPES, bases: { metal: { sha256: sha('3'), size: 4 } } }],
  ];
  for (const [code, recipes] of cases) {
    expect(() => decode(recipes), code).toThrow(expect.objectContaining({ code }));
  }
});

test('any bit flip or cut decodes to recipes or to an error of ours', () => {
  const bytes = encodeRecipes(RECIPES);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(7), fc.boolean(), (position, bit, cut) => {
      const damaged = cut ? bytes.subarray(0, position) : Buffer.from(bytes);
      if (!cut) damaged[position] = (damaged[position] ?? 0) ^ (1 << bit);
      try {
        decodeRecipes(damaged, 's');
      } catch (error) {
        expect(error).toBeInstanceOf(RehydrateError);
      }
    }),
    { numRuns: 10_000 },
  );
});

test('any JSON value decodes to recipes or to an error of ours', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(() => decode(value)).toThrow(RehydrateError);
    }),
  );
});
