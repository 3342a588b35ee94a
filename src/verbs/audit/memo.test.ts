import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { cli } from '../../../test/support/cli.ts';
import { temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { writeSyntheticRelease } from '../../../test/support/synthetic-release.ts';
import type { SharedMemo } from '../../codec/deflate/memo.ts';

const opened = vi.hoisted((): SharedMemo[] => []);
// Only watches: the memo is the real one.
vi.mock(import('../../codec/deflate/memo.ts'), async (original) => {
  const real = await original();
  return {
    ...real,
    openMemo: async (folder) => {
      const memo = await real.openMemo(folder);
      opened.push(memo.shared);
      return memo;
    },
  };
});

/** Bytes that were deflated while the memo was in use; what it already had is not deflated again. */
const deflatedBytes = ({ table }: SharedMemo): number =>
  Number(new BigInt64Array(table, 0, 1)[0] ?? 0n);

test.each(['rehydrate', 'audit'])(
  '%s deflates the grains that two VMDKs share once',
  async (verb) => {
    await using root = await temporaryFolder();
    const release = await writeSyntheticRelease(join(root.path, 'release'), {
      arches: ['x86_64'],
      containers: true,
    });
    const run = async (...argv: string[]): Promise<void> => {
      const { code, stderr } = await cli([...argv, '--cache-dir', join(root.path, 'cache')], {
        createEngine: () => release.engine,
      });
      expect(code, stderr).toBe(0);
    };
    const [bundle, out] = [join(root.path, 'bundle'), join(root.path, 'out')];
    const from = ['--stream', release.streamPath, '--artifacts', release.folder];
    await run('dehydrate', ...from, '-o', bundle);
    // One after the other: at the same time, both may deflate a grain before either has kept it.
    const both = ['-b', bundle, '--arch', 'x86_64', '--platform', 'aws,vmware', '-j', '1'];
    opened.length = 0;
    await run(verb, ...both, ...(verb === 'audit' ? ['--report', out] : ['-o', `${out}/`]));
    if (verb === 'audit') await run('rehydrate', ...both, '-o', `${out}/`);
    const [memo] = opened;
    if (memo === undefined) throw new Error('no memo was opened');
    const { size } = await stat(join(out, 'x-aws.vmdk'));
    expect(deflatedBytes(memo)).toBeGreaterThan(0.7 * size);
    expect(deflatedBytes(memo)).toBeLessThan(1.5 * size);
  },
);
