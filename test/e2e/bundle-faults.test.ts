import { copyFile, mkdir, mkdtemp, open, readFile, rename, rm, truncate } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { cli, filesBelow, output, qemusWith } from './support/cli.ts';
import { partialRelease, pick } from './support/fixture.ts';
import { inspected, RESTING, releaseBundle } from './support/release-bundle.ts';

/** Damaged bundles, wrong ISOs, full disks and Ctrl-C: a clear error, and nothing left behind. */
let folder: string;
let good: string;
let cache: string;
let bundle: string;
let out: string;
let tmp: string;

beforeAll(async () => {
  await mkdir(resolve('.work'), { recursive: true });
  folder = await mkdtemp(resolve('.work/bundle-faults-')); // on the bundle's file system, for hard links
  ({ bundle: good, cache } = await releaseBundle());
});
afterAll(() => rm(folder, { recursive: true, force: true }));

beforeEach(async () => {
  bundle = join(folder, 'bundle');
  out = join(folder, 'out');
  tmp = join(folder, 'tmp');
  for (const dir of [bundle, out, tmp]) await rm(dir, { recursive: true, force: true });
  await output('cp', ['-rl', good, bundle]);
  await mkdir(out);
  await mkdir(tmp);
});

const run = (...args: string[]) => {
  const where = args.includes('--no-cache') ? [] : ['--cache-dir', cache];
  return cli(['--arch', 'x86_64', '-b', bundle, ...where, '-q', '-o', `${out}/`, ...args]);
};

interface Blobs {
  readonly iso: string;
  readonly delta: string;
  /** Of the VMDK codec. */
  readonly recipe: string;
  readonly manifest: string;
}
/** Paths in a copy of the bundle, each a file of its own that may be damaged. */
async function blobs(): Promise<Blobs> {
  const { iso, artifacts } = await inspected(good);
  const find = (name: string) => artifacts.find(({ platform }) => platform === name)?.recipe;
  const index = JSON.parse(await readFile(join(good, 'index.json'), 'utf8'));
  const own = async (digest: string) => {
    const path = join(bundle, 'blobs/sha256', digest.replace('sha256:', ''));
    await copyFile(path, `${path}.copy`);
    await rename(`${path}.copy`, path);
    return path;
  };
  return {
    iso: await own(iso.sha256),
    delta: await own(find('qemu')?.delta?.sha256 ?? ''),
    recipe: await own(find('aws')?.layers?.[0]?.recipe.sha256 ?? ''),
    manifest: await own(index.manifests[0].digest),
  };
}

async function flipBit(path: string, at: number): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    const { size } = await handle.stat();
    const byte = Buffer.alloc(1);
    const position = Math.min(at, size - 1);
    await handle.read(byte, 0, 1, position);
    byte[0] = (byte[0] ?? 0) ^ 0x10;
    await handle.write(byte, 0, 1, position);
  } finally {
    await handle.close();
  }
}

async function expectFailure(result: Awaited<ReturnType<typeof cli>>, codes: readonly number[]) {
  expect(result.stderr).toMatch(/^error: /m);
  expect(result.stderr).not.toMatch(/\n\s+at /); // no stack
  expect(codes).toContain(result.exitCode);
  expect(result.stdout).toBe('');
  expect(filesBelow(out)).toEqual([]);
}

/** The image that is made from it. */
const PLATFORM_OF: Readonly<Record<keyof Blobs, string>> = {
  iso: 'metal/pxe/rootfs',
  delta: 'qemu',
  recipe: 'aws',
  manifest: 'qemu',
};

describe('damage', () => {
  test.each([
    ['delta', 4096],
    ['delta', 100],
    ['recipe', 500],
    ['manifest', 200],
    ['iso', 40_000_000],
  ] as const)('a flipped bit in the %s at %i', async (which, at) => {
    const path = (await blobs())[which];
    await flipBit(path, at);
    await expectFailure(await run('-p', PLATFORM_OF[which]), [3, 4]);
  });

  test.each(['delta', 'recipe', 'manifest', 'iso'] as const)('a truncated %s', async (which) => {
    const path = (await blobs())[which];
    await truncate(path, 1000);
    await expectFailure(await run('-p', PLATFORM_OF[which]), [3, 4]);
  });

  test.each(['index.json', 'oci-layout'])('no %s', async (name) => {
    await rm(join(bundle, name));
    await expectFailure(await run('-p', 'qemu'), [3, 5, 7]);
  });

  test('a flipped bit in the ISO is noticed before it is booted', async () => {
    await flipBit((await blobs()).iso, 50_000_000);
    const result = await run('-p', 'qemu', '--no-cache');
    await expectFailure(result, [4]);
    expect(result.stderr).toContain('ISO');
  });
});

describe('the wrong ISO', () => {
  test('of the right size', async () => {
    const iso = join(folder, 'other.iso');
    await copyFile((await blobs()).iso, iso);
    await flipBit(iso, 60_000_000);
    const result = await run('-p', 'qemu', '--iso', iso);
    await expectFailure(result, [4]);
    expect(result.stderr).toContain('wrong ISO for the bundle');
    expect(result.stderr).toContain(iso);
  });

  test('of another size', async () => {
    const result = await run('-p', 'qemu', '--iso', pick('metal', 'pxe', 'kernel').released);
    await expectFailure(result, [4]);
    expect(result.stderr).toContain('wrong ISO for the bundle');
  });
});

describe('not covered', () => {
  test('the error for an unknown platform lists the available ones', async () => {
    const result = await run('-p', 'qemu,digitalsea');
    await expectFailure(result, [5]);
    expect(result.stderr).toContain('digitalsea');
    expect(result.stderr).toContain('openstack');
  });

  test('an artifact whose file is missing fails dehydrate by name, unless allowed', async () => {
    const partial = join(folder, 'partial');
    const inputs = await partialRelease(partial, ['qemu', 'openstack']);
    const [missing = ''] = filesBelow(partial).filter((name) => name.includes('openstack'));
    await rm(join(partial, missing));
    const target = join(folder, 'partial-bundle');
    const args = ['dehydrate', ...inputs, ...RESTING, '--cache-dir', cache, '-q', '-o', target];
    const failed = await cli(args);
    expect(failed.stderr).toContain(`openstack: its file ${missing} is not among the artifacts`);
    expect(failed.exitCode).toBe(5);
    expect(filesBelow(folder).filter((name) => name.startsWith('partial-bundle'))).toEqual([]);

    const allowed = await cli([...args, '--allow-missing', 'openstack']);
    expect(allowed.exitCode, allowed.stderr).toBe(0);
    expect(allowed.stdout).toContain('missing openstack');
    const asked = await cli(['--arch', 'x86_64', '-b', target, '-p', 'openstack', '-o', `${out}/`]);
    await expectFailure(asked, [5]);
    expect(asked.stderr).toContain('openstack');

    const foreign = await cli(['--arch', 's390x', '-b', target, '-p', 'qemu', '-o', `${out}/`]);
    await expectFailure(foreign, [5]);
    expect(foreign.stderr).toContain('no architecture s390x');
    expect(foreign.stderr).toContain('fix: choose with --arch from: x86_64');
    await rm(target, { recursive: true });
  });
});

describe('a full disk', () => {
  let small: string;
  beforeAll(async () => {
    small = join(folder, 'small');
    await mkdir(small);
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', small]);
  });
  afterAll(() => execa('umount', [small]));

  test('at the output', async () => {
    const result = await run('-p', 'qemu', '-o', `${small}/`);
    await expectFailure(result, [7]);
    expect(result.stderr).toContain('no space left');
    expect(filesBelow(small)).toEqual([]);
  });

  test('where the bundle is to be written', async () => {
    const inputs = await partialRelease(join(folder, 'for-small'), []);
    const target = join(small, 'bundle');
    const result = await cli([
      'dehydrate',
      ...inputs,
      ...RESTING,
      '--cache-dir',
      cache,
      '-q',
      '-o',
      target,
    ]);
    await expectFailure(result, [7]);
    expect(filesBelow(small)).toEqual([]);
  });
});

/** Interrupts a run, as Ctrl-C does, a moment after `phase` begins. */
async function interrupted(phase: string, signal: NodeJS.Signals, args: readonly string[]) {
  let asked = 0;
  const result = await cli([...args, '--json', '--log-dir', join(folder, 'logs')], {
    env: { TMPDIR: tmp },
    onLine: (line, kill) => {
      if (asked > 0 || !line.includes(`"phase":"${phase}"`)) return;
      asked = performance.now();
      kill(signal);
    },
  });
  expect(asked, `${phase} never began`).toBeGreaterThan(0);
  expect(performance.now() - asked).toBeLessThan(5_000);
  expect(result.stdout).toBe('');
  expect(filesBelow(tmp)).toEqual([]);
  return result;
}

describe('Ctrl-C', () => {
  const azure = () => ['--arch', 'x86_64', '-b', bundle, '-p', 'azure', '-o', `${out}/`];

  test.each(['hash-iso', 'boot', 'login', 'unpack'] as const)('during %s', async (phase) => {
    const { exitCode } = await interrupted(phase, 'SIGINT', [...azure(), '--no-cache']);
    expect(exitCode).toBe(130);
    expect(filesBelow(out)).toEqual([]);
    expect(qemusWith(out)).toEqual([]);
    expect(qemusWith(bundle)).toEqual([]);
  });

  test('while a 16 GiB image is patched', async () => {
    const { exitCode } = await interrupted('patch', 'SIGTERM', [...azure(), '--cache-dir', cache]);
    expect(exitCode).toBe(143);
    expect(filesBelow(out)).toEqual([]);
  });

  // The disks are in the cache, so they are only read and checked.
  test.each(['hash-iso', 'check-base', 'index', 'match', 'verify'] as const)(
    'while dehydrate does: %s',
    async (phase) => {
      const inputs = await partialRelease(join(folder, `for-${phase}`), []);
      const before = filesBelow(cache);
      const args = [
        'dehydrate',
        ...inputs,
        ...RESTING,
        '--cache-dir',
        cache,
        '-o',
        join(out, 'bundle'),
      ];
      const { exitCode } = await interrupted(phase, 'SIGINT', args);
      expect(exitCode).toBe(130);
      expect(filesBelow(out)).toEqual([]);
      expect(filesBelow(cache)).toEqual(before);
    },
  );
});
