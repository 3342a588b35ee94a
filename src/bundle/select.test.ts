import { expect, test } from 'vitest';
import type { Sha256 } from '../core/io/digest.ts';
import { shortName } from '../release/stream/artifacts.ts';
import type { RecipeArtifact, Recipes } from './recipes.ts';
import { type Selection, selectArtifacts } from './select.ts';

const sha256 = 'a'.repeat(64) as Sha256;

function artifact(platform: string, format: string, file: RecipeArtifact['file'] = 'disk') {
  const name = `${platform}-${format}-${file}`;
  return {
    platform,
    format,
    file,
    name,
    release: '1',
    size: 1,
    sha256,
    attestation: 'sha256',
    compression: 'none',
    container: 'raw',
    released: { name, location: '', sha256 },
    recipe: { kind: 'iso' },
  } as const satisfies RecipeArtifact;
}

const artifacts = [
  artifact('metal', '4k.raw.xz'),
  artifact('metal', 'iso'),
  artifact('metal', 'pxe', 'kernel'),
  artifact('metal', 'pxe', 'initramfs'),
  artifact('metal', 'raw.xz'),
  artifact('odd', 'qcow2.gz'),
  artifact('odd', 'vmdk.gz'),
  artifact('qemu', 'qcow2.xz'),
];
const RECIPES: Recipes = {
  schemaVersion: 2,
  architecture: 'x86_64',
  release: '1',
  stream: { name: 's', sha256, size: 1 },
  iso: { name: 'i', location: '', sha256, size: 1, embedded: true },
  bases: {},
  artifacts,
  missing: [
    {
      platform: 'aws',
      format: 'vmdk.xz',
      file: 'disk',
      release: '1',
      name: 'a',
      reason: 'no file',
    },
    {
      platform: 'qemu',
      format: 'raw.xz',
      file: 'disk',
      release: '1',
      name: 'q',
      reason: 'too odd',
    },
  ],
};

function select(platforms: string[], formats?: string[]): string[] {
  const selection: Selection = { platforms, formats };
  return selectArtifacts(RECIPES, selection).artifacts.map((id) => shortName(id, artifacts));
}

test('platforms, formats and longer names', () => {
  expect(select(['qemu'])).toEqual(['qemu']);
  expect(select(['metal'])).toEqual(['metal/raw']);
  expect(select(['odd'])).toEqual(['odd/qcow2', 'odd/vmdk']);
  expect(select(['qemu', 'metal'])).toEqual(['metal/raw', 'qemu']);
  expect(select(['metal'], ['4k.raw'])).toEqual(['metal/4k.raw']);
  expect(select(['metal'], ['4k.raw.xz', 'iso'])).toEqual(['metal/4k.raw', 'metal/iso']);
  expect(select(['metal'], ['all'])).toHaveLength(5);
  expect(select(['metal'], ['pxe'])).toEqual(['metal/pxe/kernel', 'metal/pxe/initramfs']);
  expect(select(['metal/pxe'])).toEqual(['metal/pxe/kernel', 'metal/pxe/initramfs']);
  expect(select(['metal/pxe/kernel'])).toEqual(['metal/pxe/kernel']);
  expect(select(['all'])).toHaveLength(8);
  expect(select(['all'], ['qcow2'])).toEqual(['odd/qcow2', 'qemu']);
  expect(select(['qemu', 'qemu'])).toEqual(['qemu']);
});

test('other formats of a platform are reported', () => {
  const { notes } = selectArtifacts(RECIPES, { platforms: ['metal', 'qemu'] });
  expect(notes).toEqual(['metal also has 4k.raw, iso, pxe (choose with --format)']);
});

test('the error for a missing name lists the available ones', () => {
  expect(() => select(['azure'])).toThrow(
    expect.objectContaining({
      code: 'PLATFORM_ABSENT',
      hint: expect.stringContaining('metal/4k.raw, metal/iso, metal/pxe/kernel'),
    }),
  );
  expect(() => select(['metal'], ['qcow2'])).toThrow(
    expect.objectContaining({ code: 'FORMAT_ABSENT', hint: expect.stringContaining('raw, iso') }),
  );
  expect(() => select(['azure'], ['qcow2'])).toThrow(
    expect.objectContaining({ code: 'PLATFORM_ABSENT' }),
  );
  expect(() => select([])).toThrow(expect.objectContaining({ code: 'PLATFORM_NONE' }));
});

test('an uncovered artifact is an error when named, and a failure at the end with all', () => {
  expect(() => select(['aws'])).toThrow(
    expect.objectContaining({
      code: 'ARTIFACT_MISSING',
      message: expect.stringContaining('no file'),
    }),
  );
  expect(() => select(['qemu'], ['raw'])).toThrow(
    expect.objectContaining({
      code: 'ARTIFACT_MISSING',
      message: expect.stringContaining('too odd'),
    }),
  );
  expect(() => select(['qemu/raw'])).toThrow(expect.objectContaining({ code: 'ARTIFACT_MISSING' }));
  const { uncovered } = selectArtifacts(RECIPES, { platforms: ['all'] });
  expect(uncovered.map(({ platform }) => platform)).toEqual(['aws', 'qemu']);
  const narrowed = selectArtifacts(RECIPES, { platforms: ['all'], formats: ['qcow2'] });
  expect(narrowed.uncovered).toEqual([]);
});
