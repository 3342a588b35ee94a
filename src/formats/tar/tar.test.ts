import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { survive } from '../../../test/golden/mutate.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import { createTarDecoder, type TarLimits } from './decoder.ts';
import { BLOCK } from './header.ts';
import { tarMembers } from './index.ts';

const LIMITS: TarLimits = { members: 1000, bytes: 64 << 20 };
const LONG = `${'d'.repeat(90)}/${'e'.repeat(60)}/${'f'.repeat(90)}`;

/** The output of a decoder for a tar that arrives in chunks of these sizes. */
function decode(tar: Uint8Array, sizes: readonly number[] = [tar.length], limits = LIMITS) {
  const decoder = createTarDecoder('test.tar', limits);
  const files = new Map<string, string>();
  const others: string[] = [];
  let path = '';
  let held: Buffer[] = [];
  for (let at = 0, turn = 0; at < tar.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    for (const event of decoder.push(tar.subarray(at, at + size))) {
      if (event.kind === 'data') held.push(Buffer.from(event.bytes));
      else if (event.kind === 'complete') files.set(path, Buffer.concat(held).toString('latin1'));
      else {
        const { kind, target } = event.member;
        path = event.member.path;
        held = [];
        if (kind !== 'file') others.push(`${kind} ${path}${target && ` -> ${target}`}`);
      }
    }
    at += size;
  }
  decoder.finish();
  return { files, others };
}

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tar-'));
  mkdirSync(join(folder, 't', LONG.slice(0, 151)), { recursive: true });
  writeFileSync(join(folder, 't/a'), 'first');
  writeFileSync(join(folder, 't/empty'), '');
  writeFileSync(join(folder, 't/block'), 'x'.repeat(2 * BLOCK));
  writeFileSync(join(folder, 't', LONG), 'long');
  linkSync(join(folder, 't/a'), join(folder, 't/b'));
  symlinkSync('/etc/passwd', join(folder, 't/c'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const gnu = (...options: string[]) =>
  execFileSync('tar', ['-C', join(folder, 't'), '--sort=name', '-cf', '-', ...options, '.']);

describe('tars of GNU tar', () => {
  test.each([['gnu'], ['pax'], ['ustar'], ['oldgnu'], ['v7']])('--format=%s', (format) => {
    const without = format === 'v7' ? ['--exclude=./ddd*'] : []; // which has no room for it
    const tar = gnu(`--format=${format}`, ...without);
    const { files, others } = decode(tar);
    expect(files.get('a')).toBe('first');
    expect(files.get('empty')).toBe('');
    expect(files.get('block')).toBe('x'.repeat(2 * BLOCK));
    if (format !== 'v7') expect(files.get(LONG)).toBe('long');
    expect(others).toContain('link b -> a');
    expect(others).toContain('other c');
  });

  test('come out the same however they are cut', () => {
    const tar = gnu('--format=pax');
    const whole = decode(tar);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1 }), (sizes) => {
        expect(decode(tar, sizes)).toEqual(whole);
      }),
      { numRuns: 50 },
    );
  });

  test('are listed without a look at their contents', async () => {
    const tar = gnu('--format=pax');
    for await (const { path, offset, size } of tarMembers(memorySource(tar), LIMITS)) {
      if (path !== 'block') continue;
      expect(tar.toString('latin1', offset, offset + size)).toBe('x'.repeat(2 * BLOCK));
      return;
    }
    expect.unreachable();
  });

  test.each(['--sparse', '--sparse --format=pax', '--sparse --format=pax --sparse-version=0.1'])(
    'hold no contents of sparse files: %s',
    (options) => {
      execFileSync('truncate', ['-s', '1M', join(folder, 't/holes')]);
      execFileSync('sh', ['-c', `printf end >>${join(folder, 't/holes')}`]);
      const { files } = decode(gnu(...options.split(' ')));
      rmSync(join(folder, 't/holes'));
      expect([...files.keys()].filter((path) => path.includes('holes'))).toEqual([]);
      expect(files.get('a')).toBe('first');
    },
  );
});

interface Entry {
  readonly name: string;
  readonly type?: 'file' | 'link' | 'symlink' | 'character-device' | 'block-device' | 'fifo';
  readonly linkname?: string;
  readonly body?: string;
}

async function tarOf(entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const { body, ...header } of entries) archive.entry(header, body ?? '');
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('hostile tars', () => {
  test.each([['../escape'], ['a/../../escape'], ['/../escape']])(
    'a path that leads out: %s',
    async (name) => {
      const tar = await tarOf([{ name, body: 'x' }]);
      expect(() => decode(tar)).toThrow(expect.objectContaining({ code: 'TAR_PATH' }));
    },
  );

  test('a hard link that leads out', async () => {
    const tar = await tarOf([{ name: 'a', type: 'link', linkname: '../../etc/shadow' }]);
    expect(() => decode(tar)).toThrow(expect.objectContaining({ code: 'TAR_PATH' }));
  });

  test('devices are not files, and absolute paths become relative', async () => {
    const tar = await tarOf([
      { name: 'sda', type: 'block-device' },
      { name: 'null', type: 'character-device' },
      { name: 'pipe', type: 'fifo' },
      { name: '/etc/a', body: 'x' },
    ]);
    const { files, others } = decode(tar);
    expect([...files]).toEqual([['etc/a', 'x']]);
    expect(others).toEqual(['other sda', 'other null', 'other pipe']);
  });

  test('more members or bytes than are taken', async () => {
    const tar = await tarOf(Array.from({ length: 20 }, (_, i) => ({ name: `f${i}`, body: 'x' })));
    const code = (limits: TarLimits) => {
      try {
        decode(tar, [tar.length], limits);
        return undefined;
      } catch (error) {
        return error instanceof Error && 'code' in error ? error.code : error;
      }
    };
    expect(code({ members: 19, bytes: 100 })).toBe('TAR_TOO_LARGE');
    expect(code({ members: 20, bytes: 19 })).toBe('TAR_TOO_LARGE');
    expect(code({ members: 20, bytes: 20 })).toBeUndefined();
  });

  test('one that is cut off', async () => {
    const tar = await tarOf([{ name: 'a', body: 'x'.repeat(1000) }]);
    for (const length of [100, 600, 1500]) {
      expect(() => decode(tar.subarray(0, length))).toThrow(/cut off/);
    }
    expect(decode(tar.subarray(0, 512 + 1024)).files.size).toBe(1); // without the end mark
  });

  test('10,000 mutations', async () => {
    const tar = gnu('--format=pax');
    const rejected = await survive(tar, 10_000, async (mutated) => {
      decode(mutated, [4096]);
    });
    expect(rejected).toBeGreaterThan(1000);
  });
});
