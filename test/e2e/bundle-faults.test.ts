import { copyFile, cp, mkdir, mkdtemp, open, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { cli, filesBelow, qemusWith } from './support/cli.ts';
import { fixtureDir, pick } from './support/fixture.ts';
import { releaseBundle } from './support/release-bundle.ts';

/** Damaged bundles, wrong ISOs, full disks and Ctrl-C: a clear error, and nothing left behind. */
let folder: string;
let good: string;
let cache: string;
let bundle: string;
let out: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bundle-faults-'));
  ({ bundle: good, cache } = await releaseBundle());
});
afterAll(() => rm(folder, { recursive: true, force: true }));

beforeEach(async () => {
  bundle = join(folder, 'bundle');
  out = join(folder, 'out');
  for (const dir of [bundle, out]) await rm(dir, { recursive: true, force: true });
  await cp(good, bundle, { recursive: true, mode: 2 /* COPYFILE_FICLONE */ });
  await mkdir(out);
});

const run = (...args: string[]) =>
  cli(['--arch', 'x86_64', '-b', bundle, '--cache-dir', cache, '-q', '-o', `${out}/`, ...args]);

interface Blobs {
  readonly iso: string;
  readonly delta: string;
  readonly manifest: string;
}
async function blobs(): Promise<Blobs> {
  const { stdout } = await cli(['inspect', good, '--json']);
  const [architecture] = JSON.parse(stdout).bundle.architectures;
  const qemu = architecture.artifacts.find((a: { platform: string }) => a.platform === 'qemu');
  const index = JSON.parse(await readFile(join(good, 'index.json'), 'utf8'));
  const path = (digest: string) => join(bundle, 'blobs/sha256', digest.replace('sha256:', ''));
  return {
    iso: path(architecture.iso.sha256),
    delta: path(qemu.recipe.delta.sha256),
    manifest: path(index.manifests[0].digest),
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

describe('damage', () => {
  test.each([
    ['delta', 4096],
    ['delta', 100],
    ['manifest', 200],
    ['iso', 40_000_000],
  ] as const)('a flipped bit in the %s at %i', async (which, at) => {
    const path = (await blobs())[which];
    await flipBit(path, at);
    const platform = which === 'iso' ? 'metal/pxe/rootfs' : 'qemu';
    await expectFailure(await run('-p', platform), [3, 4]);
  });

  test.each(['delta', 'manifest', 'iso'] as const)('a truncated %s', async (which) => {
    const path = (await blobs())[which];
    await truncate(path, 1000);
    await expectFailure(await run('-p', which === 'iso' ? 'metal/pxe/rootfs' : 'qemu'), [3, 4]);
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
  test('an unknown platform is named, with those that are there', async () => {
    const result = await run('-p', 'qemu,digitalsea');
    await expectFailure(result, [5]);
    expect(result.stderr).toContain('digitalsea');
    expect(result.stderr).toContain('openstack');
  });

  test('an architecture that the bundle lacks', async () => {
    const result = await cli(['--arch', 's390x', '-b', bundle, '-p', 'ibmcloud', '-o', `${out}/`]);
    await expectFailure(result, [5]);
    expect(result.stderr).toContain('s390x');
  });

  test('an artifact whose file is missing fails dehydrate by name, unless allowed', async () => {
    const partial = join(folder, 'partial');
    await mkdir(partial, { recursive: true });
    const missing = pick('openstack', 'qcow2.xz').released;
    await execa('sh', [
      '-c',
      'ln -sf "$1"/* "$2"/ && rm "$2/$(basename "$3")"',
      'sh',
      fixtureDir(),
      partial,
      missing,
    ]); // prettier-ignore
    const target = join(folder, 'partial-bundle');
    const args = [
      ...['dehydrate', '--stream', join(partial, 'stream.json'), '--artifacts', partial],
      ...['--cache-dir', cache, '-q', '-o', target],
    ];
    const failed = await cli(args);
    expect(failed.stderr).toContain('openstack');
    expect(failed.exitCode).not.toBe(0);

    const allowed = await cli([...args, '--force', '--allow-missing', 'openstack']);
    expect(allowed.exitCode, allowed.stderr).toBe(0);
    expect(allowed.stdout).toContain('missing openstack');
    const asked = await cli(['--arch', 'x86_64', '-b', target, '-p', 'openstack', '-o', `${out}/`]);
    await expectFailure(asked, [5]);
    expect(asked.stderr).toContain('openstack');
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
    const result = await cli([
      ...['dehydrate', '--stream', join(fixtureDir(), 'stream.json'), '--artifacts', fixtureDir()],
      ...['--cache-dir', cache, '-q', '-o', join(small, 'bundle')],
    ]);
    await expectFailure(result, [7]);
    expect(filesBelow(small)).toEqual([]);
  });
});

describe('Ctrl-C', () => {
  test.each(['hash-iso', 'boot', 'login', 'unpack'] as const)('during %s', async (phase) => {
    const result = await cli(
      [
        ...['--arch', 'x86_64', '-b', bundle, '-p', 'azure', '--no-cache', '--json'],
        ...['-o', `${out}/`, '--log-dir', join(folder, 'logs')],
      ],
      {
        onLine: (line, kill) => {
          if (line.includes(`"phase":"${phase}"`)) kill('SIGINT');
        },
      },
    );
    expect(result.exitCode).toBe(130);
    expect(result.stdout).toBe('');
    expect(filesBelow(out)).toEqual([]);
    expect(qemusWith(bundle)).toEqual([]);
  });

  test('while a 16 GiB image is patched', async () => {
    const result = await cli(
      [
        '--arch',
        'x86_64',
        '-b',
        bundle,
        '-p',
        'azure',
        '--cache-dir',
        cache,
        '--json',
        '-o',
        `${out}/`,
      ], // prettier-ignore
      {
        onLine: (line, kill) => {
          if (line.includes('"phase":"patch"')) kill('SIGTERM');
        },
      },
    );
    expect(result.exitCode).toBe(143);
    expect(filesBelow(out)).toEqual([]);
  });
});
