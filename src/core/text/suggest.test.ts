import { expect, test } from 'vitest';
import { didYouMean, suggestion } from './suggest.ts';

const PLATFORMS = ['aws', 'metal/raw', 'metal/4k.raw', 'metal/iso', 'qemu', 'azure', 'openstack'];

test.each([
  ['qemuu', 'qemu'],
  ['QEMU', 'qemu'],
  ['qmeu', 'qemu'],
  ['metal4k', 'metal/4k.raw'],
  ['metal-iso', 'metal/iso'],
  ['open-stack', 'openstack'],
  ['asw', 'aws'],
  ['vultr', undefined],
  ['', undefined],
  ['x'.repeat(1e6), undefined],
])('%s: %s', (name, meant) => {
  expect(didYouMean(name, PLATFORMS)).toBe(meant);
});

test('as a part of a hint', () => {
  expect(suggestion('rehydrat', ['dehydrate', 'rehydrate'])).toBe('did you mean rehydrate? ');
  expect(suggestion('frob', ['dehydrate', 'rehydrate'])).toBe('');
});
