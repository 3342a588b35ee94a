import { cp, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type CliResult, cli } from '../../test/support/cli.ts';
import { meeting, stagedEngine, untilAborted } from '../../test/support/staged-engine.ts';
import { temporaryFolder, writeSyntheticBundle } from '../../test/support/synthetic-bundle.ts';
import {
  type SyntheticRelease,
  writeSyntheticRelease,
} from '../../test/support/synthetic-release.ts';
import { openBundle, recipesFor } from '../bundle/read.ts';
import type { Arch } from '../core/arch.ts';
import { CancelledError, EngineError } from '../core/errors.ts';
import type { MetalEngine } from '../engine/engine.ts';
import { workloadOf } from './jobs.ts';

/** One bundle of x86_64 and s390x, whose ISOs are real and whose boots are not. */
let root: Awaited<ReturnType<typeof temporaryFolder>>;
let release: SyntheticRelease;
let bundle: string;
let out: string;
beforeAll(async () => {
  root = await temporaryFolder();
  release = await writeSyntheticRelease(join(root.path, 'release'), {
    arches: ['x86_64', 's390x'],
  });
  bundle = join(root.path, 'bundle');
  const made = await dehydrate(bundle, release.engine);
  expect(made.code, made.stderr).toBe(0);
}, 60_000);
afterAll(() => root[Symbol.asyncDispose]());
beforeEach(async () => {
  out = join(root.path, 'out');
  await rm(out, { recursive: true, force: true });
});

function dehydrate(target: string, engine: MetalEngine, ...more: string[]): Promise<CliResult> {
  const argv = ['dehydrate', '--stream', release.streamPath, '--artifacts', release.folder];
  const cache = more.some((option) => option.includes('cache')) ? [] : ['--no-cache'];
  return cli([...argv, '-o', target, ...cache, ...more], { createEngine: () => engine });
}

function rehydrate(engine: MetalEngine, ...more: string[]): Promise<CliResult> {
  return cli(['-b', bundle, '-o', `${out}/`, '--no-cache', ...more], {
    createEngine: () => engine,
  });
}

const BOTH = ['--arch', 'all', '-p', 'all'] as const;
const X86 = [
  'x-gcp.tar',
  'x-live-kernel',
  'x-live.iso',
  'x-metal.raw',
  'x-nutanix.qcow2',
  'x-qemu.raw',
];
const S390 = [
  'z-gcp.tar',
  'z-ibmcloud.qcow2',
  'z-live-kernel',
  'z-live.iso',
  'z-metal.raw',
  'z-qemu.raw',
];

const silentFor = (broken: Arch) => async (arch: Arch) => {
  if (arch !== broken) return;
  throw new EngineError(`${arch} vm: the guest went silent\nlast console lines:\n  | hum`, {
    code: 'VM_SILENT',
    context: { phase: 'boot' },
    hint: 'give it more time',
    cause: new Error('a cold solder joint'),
  });
};

interface JsonLine {
  readonly type: string;
  readonly [member: string]: unknown;
}
const jsonLines = (text: string): JsonLine[] =>
  text
    .trim()
    .split('\n')
    .map((line): JsonLine => JSON.parse(line));

describe('rehydrate', () => {
  test('side by side, with one progress stream and one summary', async () => {
    const bothBoot = meeting(2);
    const engine = stagedEngine(release.engine, bothBoot);
    const { code, stdout, stderr } = await rehydrate(engine, ...BOTH, '--jobs', '2');
    expect(code, stderr).toBe(0);
    expect(engine.most()).toBe(2);
    expect((await readdir(out)).sort()).toEqual([...X86, ...S390]);
    expect(stdout.toString().trim().split('\n')).toHaveLength(12);
    await execa('sha256sum', ['--check', '--strict'], { input: stdout });
    for (const arch of ['x86_64', 's390x']) {
      expect(stderr).toMatch(new RegExp(`^${arch} vm: booting$`, 'm'));
      expect(stderr).toMatch(new RegExp(`^${arch} qemu: patching`, 'm'));
      expect(stderr).toMatch(new RegExp(`^${arch} metal: checking the disk`, 'm'));
      expect(stderr).toMatch(new RegExp(`^${arch} +6 +0 +\\S+ MiB +\\S+ s +done, by none`, 'm'));
    }
    expect(stderr).not.toMatch(/^(qemu|metal): /m);
  });

  test('no more at a time than --jobs allows', async () => {
    const engine = stagedEngine(release.engine, () => new Promise((r) => setTimeout(r, 20)));
    expect((await rehydrate(engine, ...BOTH, '--jobs', '1')).code).toBe(0);
    expect(engine.boots).toEqual(['x86_64', 's390x']);
    expect(engine.most()).toBe(1);
  });

  test('names as CoreOS, OCI and Debian spell them, one architecture without labels', async () => {
    const args = ['--arch', 'amd64', '--arch', 'x86_64', '-p', 'qemu'];
    const { code, stderr } = await rehydrate(release.engine, ...args);
    expect(code, stderr).toBe(0);
    expect(await readdir(out)).toEqual(['x-qemu.raw']);
    expect(stderr).toMatch(/^qemu: patching/m);
  });

  test('the failure of one does not lose the other', async () => {
    const engine = stagedEngine(release.engine, silentFor('x86_64'));
    const { code, stdout, stderr } = await rehydrate(engine, ...BOTH);
    expect(code).toBe(6);
    expect((await readdir(out)).sort()).toEqual(S390);
    await execa('sha256sum', ['--check', '--strict'], { input: stdout });
    expect(stderr).toMatch(/^x86_64: failed: x86_64 vm: the guest went silent$/m);
    expect(stderr).toMatch(/^x86_64 +0 +0 .* failed: x86_64 vm: the guest went silent$/m);
    expect(stderr).toMatch(/^s390x +6 +0 .* done/m);
    expect(stderr).toContain(
      [
        'error: 1 of 2 architectures are not complete: x86_64 [ARCHITECTURES_FAILED]',
        'where: architectures: x86_64',
        'error: x86_64: x86_64 vm: the guest went silent [VM_SILENT]',
        'last console lines:',
        '  | hum',
        'where: architecture: x86_64',
        'where: phase: boot',
        'cause: a cold solder joint',
        'fix: give it more time',
        '',
      ].join('\n'),
    );
  });

  test('files made before a failure stay, and are listed', async () => {
    const wounded = join(root.path, 'wounded');
    await cp(bundle, wounded, { recursive: true });
    const { artifacts } = recipesFor(await openBundle(bundle), 'x86_64');
    const recipe = artifacts.find(({ platform }) => platform === 'qemu')?.recipe;
    if (recipe?.kind !== 'delta') throw new Error('qemu has a delta');
    await rm(join(wounded, 'blobs/sha256', recipe.delta.sha256));
    const { code, stderr } = await rehydrate(release.engine, ...BOTH, '-b', wounded);
    expect(code).toBe(4);
    expect((await readdir(out)).sort()).toEqual([...X86.slice(0, -1), ...S390]);
    expect(stderr).toMatch(/^x86_64 +5 +0 .* failed: blob/m);
    await rm(wounded, { recursive: true });
  });

  test('as JSON: every event has its architecture; summary and failures are data', async () => {
    const engine = stagedEngine(release.engine, silentFor('s390x'));
    const { code, stdout, stderr } = await rehydrate(engine, ...BOTH, '--json', '-j', '2');
    expect(code).toBe(6);
    const results = jsonLines(stdout.toString());
    expect(results.map(({ type, architecture }) => [type, architecture])).toEqual(
      X86.map(() => ['result', 'x86_64']),
    );
    const events = jsonLines(stderr);
    const [summary, error] = events.slice(-2);
    const [trust, ...work] = events.slice(0, -2);
    expect(trust).toMatchObject({ type: 'note', subject: 'trust' });
    for (const event of work) {
      expect(['x86_64', 's390x']).toContain(event.architecture);
    }
    expect(summary).toMatchObject({
      type: 'summary',
      architectures: [
        { architecture: 'x86_64', status: 'done', written: 6, present: 0, uncovered: [] },
        { architecture: 's390x', status: 'failed', written: 0, error: { code: 'VM_SILENT' } },
      ],
    });
    expect(error).toMatchObject({
      type: 'error',
      kind: 'engine',
      code: 'ARCHITECTURES_FAILED',
      failures: [{ code: 'VM_SILENT', hint: 'give it more time', causes: ['a cold solder joint'] }],
    });
  });

  test('existing files are kept and counted', async () => {
    expect((await rehydrate(release.engine, ...BOTH)).code).toBe(0);
    const engine = stagedEngine(release.engine);
    const { code, stderr } = await rehydrate(engine, ...BOTH);
    expect(code).toBe(0);
    expect(engine.boots).toEqual([]);
    expect(stderr).toMatch(/^s390x +0 +6 .* done, no boot needed$/m);
  });

  test('Ctrl-C stops everything and leaves nothing behind', async () => {
    const controller = new AbortController();
    const bothBoot = meeting(2);
    const engine = stagedEngine(release.engine, async (_, signal) => {
      await bothBoot();
      controller.abort(
        new CancelledError('stopped', { code: 'CANCELLED', context: { signal: 'SIGINT' } }),
      );
      await untilAborted(signal);
    });
    await mkdir(out);
    const { code, stdout, stderr } = await cli(
      ['-b', bundle, '-o', `${out}/`, '--no-cache', '-j', '2', ...BOTH],
      { createEngine: () => engine, signal: controller.signal },
    );
    expect(code).toBe(130);
    expect(stdout.toString()).toBe('');
    expect(stderr).toMatch(/^error: stopped \[CANCELLED\]$/m);
    expect(stderr).not.toContain('not complete');
    expect(await readdir(out)).toEqual([]);
  });

  test('Ctrl-C: waiting architectures never start', async () => {
    const controller = new AbortController();
    const engine = stagedEngine(release.engine, async (_, signal) => {
      controller.abort(new CancelledError('stopped', { code: 'CANCELLED' }));
      await untilAborted(signal);
    });
    const { code } = await cli(['-b', bundle, '-o', `${out}/`, '--no-cache', '-j', '1', ...BOTH], {
      createEngine: () => engine,
      signal: controller.signal,
    });
    expect(code).toBe(130);
    expect(engine.boots).toEqual(['x86_64']);
  });

  test('a platform of only one architecture: the other is skipped with a note', async () => {
    const engine = stagedEngine(release.engine);
    const { code, stderr } = await rehydrate(engine, '--arch', 'all', '-p', 'ibmcloud');
    expect(code, stderr).toBe(0);
    expect(await readdir(out)).toEqual(['z-ibmcloud.qcow2']);
    expect(engine.boots).toEqual(['s390x']);
    expect(stderr).toContain('x86_64: note: the bundle has no ibmcloud for x86_64\n');
    expect(stderr).toMatch(/^x86_64 .* skipped: the bundle has no ibmcloud for x86_64$/m);
    const two = await rehydrate(engine, '--arch', 'all', '-p', 'ibmcloud,nutanix', '--json');
    expect(two.code).toBe(0);
    expect((await readdir(out)).sort()).toEqual(['x-nutanix.qcow2', 'z-ibmcloud.qcow2']);
    expect(two.stderr).toContain('the bundle has no ibmcloud for x86_64');
  });

  test('a platform that none has, or that an architecture named by the user lacks', async () => {
    const engine = stagedEngine(release.engine);
    const none = await rehydrate(engine, '--arch', 'all', '-p', 'qemu,exoscale');
    expect(none).toMatchObject({ code: 5 });
    expect(none.stderr).toContain('no exoscale for x86_64; the bundle has no exoscale for s390x');
    expect(none.stderr).toMatch(/^fix: .*x86_64: .*nutanix, qemu; s390x: gcp, ibmcloud, /m);
    const named = await rehydrate(engine, '--arch', 'x86_64,s390x', '-p', 'ibmcloud');
    expect(named).toMatchObject({ code: 5 });
    expect(named.stderr).toContain('the bundle has no ibmcloud for x86_64 [PLATFORM_ABSENT]');
    const format = await rehydrate(engine, '--arch', 'all', '-p', 'qemu', '-f', 'vmdk');
    expect(format).toMatchObject({ code: 5, stderr: expect.stringContaining('FORMAT_ABSENT') });
    expect(engine.boots).toEqual([]);
  });

  test('an architecture that the bundle lacks: the error names those that it has', async () => {
    const argv = ['-p', 'qemu', '-b', bundle, '-o', `${out}/`];
    const host = await cli(argv, { hostArch: 'arm64' });
    expect(host).toMatchObject({ code: 5 });
    expect(host.stderr).toContain('no architecture aarch64 [ARCH_ABSENT]');
    expect(host.stderr).toContain('fix: choose with --arch from: x86_64, s390x, or all\n');
    expect(await cli([...argv, '--arch', 's390x,ppc64el'])).toMatchObject({ code: 5 });
  });

  test('a disk is shared safely by way of a cache that has room for none', async () => {
    const cache = join(root.path, 'small-cache');
    const engine = stagedEngine(release.engine, meeting(2));
    const { code, stderr } = await cli(
      [
        ...BOTH,
        '-b',
        bundle,
        '-o',
        `${out}/`,
        '-j',
        '2',
        '--cache-dir',
        cache,
        '--cache-size',
        '1',
      ],
      { createEngine: () => engine },
    );
    expect(code, stderr).toBe(0);
    expect(await readdir(cache)).toEqual(['metal']);
    expect(await readdir(join(cache, 'metal'))).toEqual([]);
    expect(await readdir(out)).toHaveLength(12);
  });

  test('two files with the same name are refused before any work', async () => {
    await using folder = await temporaryFolder();
    const same = await writeSyntheticBundle(folder.path, { arches: ['x86_64', 'aarch64'] });
    for (const output of [`${out}/`, '-']) {
      const argv = ['--arch', 'all', '-p', 'metal/iso', '-b', same.path, '-o', output];
      const { code, stdout, stderr } = await cli(argv);
      expect(code).toBe(2);
      expect(stderr).toContain('OUTPUT_CLASH');
      expect(stdout.toString()).toBe('');
    }
    expect(await readdir(out)).toEqual([]);
  });
});

describe('rehydrate -o -', () => {
  const tarOf = (engine: MetalEngine, ...more: string[]) =>
    rehydrate(engine, '-o', '-', '-j', '2', ...BOTH, ...more);
  const namesIn = async (tar: Buffer) =>
    (await execa('tar', ['-tf', '-'], { input: tar })).stdout.split('\n');

  test('is one tar, the same bytes in any order of completion', async () => {
    let release390 = () => {};
    const other = new Promise<void>((resolve) => {
      release390 = resolve;
    });
    const slowX86 = stagedEngine(release.engine, async (arch) => {
      if (arch === 's390x') setTimeout(release390, 50);
      else await other;
    });
    const first = await tarOf(slowX86);
    expect(first.code, first.stderr).toBe(0);
    expect(slowX86.boots).toHaveLength(2);
    const names = await namesIn(first.stdout);
    expect(names.filter((name) => name.startsWith('x'))).toEqual(names.slice(0, 6));
    expect([...names].sort()).toEqual([...X86, ...S390]);
    const second = await tarOf(release.engine, '-j', '1');
    expect(second.stdout.equals(first.stdout)).toBe(true);
  });

  test('an architecture that fails before its turn leaves the others’ tar whole', async () => {
    const { code, stdout } = await tarOf(stagedEngine(release.engine, silentFor('x86_64')));
    expect(code).toBe(6);
    expect((await namesIn(stdout)).sort()).toEqual(S390);
    expect(stdout.subarray(-1024).equals(Buffer.alloc(1024))).toBe(true); // end marks
  });

  test('one that fails half-way breaks the tar off, visibly, and ends the others', async () => {
    const wounded = join(root.path, 'torn');
    await cp(bundle, wounded, { recursive: true });
    const { artifacts } = recipesFor(await openBundle(bundle), 'x86_64');
    const recipe = artifacts.find(({ platform }) => platform === 'qemu')?.recipe;
    if (recipe?.kind !== 'delta') throw new Error('qemu has a delta');
    const delta = join(wounded, 'blobs/sha256', recipe.delta.sha256);
    await using handle = await open(delta, 'r+');
    await handle.write(Buffer.from('torn'), 0, 4, recipe.delta.size >> 1);
    const { code, stdout, stderr } = await tarOf(release.engine, '-b', wounded);
    expect(code).toBe(4);
    expect(stderr).toMatch(/^error: x86_64: .*\[BLOB_DIGEST\]$/m);
    expect(stderr).toMatch(/^error: s390x: the output stream broke before this artifact/m);
    await expect(namesIn(stdout)).rejects.toThrow(/[Uu]nexpected EOF/);
    await rm(wounded, { recursive: true });
  });
});

describe('external ISOs', () => {
  test('one for each architecture, in any order', async () => {
    const external = join(root.path, 'external');
    const made = await dehydrate(external, release.engine, '--iso-external');
    expect(made.code, made.stderr).toBe(0);
    const iso = (prefix: string) => ['--iso', join(release.folder, `${prefix}-live.iso`)];
    const args = ['-b', external, '-p', 'metal/pxe/kernel', '--arch'];
    const both = await rehydrate(release.engine, ...args, 'all', ...iso('z'), ...iso('x'));
    expect(both.code, both.stderr).toBe(0);
    expect((await readdir(out)).sort()).toEqual(['x-live-kernel', 'z-live-kernel']);
    await rm(out, { recursive: true });
    const one = await rehydrate(release.engine, ...args, 'all', ...iso('z'));
    expect(one.code).toBe(2); // the other has none: it is named, this one is made
    expect(one.stderr).toMatch(/^error: x86_64: the ISO is not in the bundle \[ISO_EXTERNAL\]$/m);
    expect(await readdir(out)).toEqual(['z-live-kernel']);
    const twice = await rehydrate(release.engine, ...args, 'all', ...iso('z'), ...iso('z'));
    expect(twice).toMatchObject({ code: 2, stderr: expect.stringContaining('ISO_TWICE') });
    const odd = await rehydrate(release.engine, ...args, 's390x', ...iso('z'), ...iso('x'));
    expect(odd).toMatchObject({ code: 2, stderr: expect.stringContaining('ISO_UNWANTED') });
    const wrong = await rehydrate(release.engine, ...args, 's390x', ...iso('x'));
    expect(wrong).toMatchObject({ code: 4, stderr: expect.stringContaining('ISO_WRONG') });
    await rm(external, { recursive: true });
  });
});

describe('dehydrate', () => {
  test('in parallel into one bundle, the same bytes as one after the other', async () => {
    const target = join(root.path, 'again');
    const engine = stagedEngine(release.engine, meeting(2));
    const { code, stdout, stderr } = await dehydrate(target, engine, '-j', '2', '--arch', 'all');
    expect(code, stderr).toBe(0);
    expect(stdout.toString()).toMatch(/^x86_64 {2}test 42.1$[\s\S]*^s390x {2}test 42.1$/m);
    expect(stderr).toContain('s390x: note: 6 of 6 artifacts are covered\n');
    await execa('diff', ['-r', bundle, target]);
    const index = JSON.parse(await readFile(join(target, 'index.json'), 'utf8'));
    const inner = index.manifests[0].digest.replace('sha256:', 'blobs/sha256/');
    const { manifests } = JSON.parse(await readFile(join(target, inner), 'utf8'));
    expect(manifests).toMatchObject([
      { platform: { architecture: 'amd64', os: 'linux' } },
      { platform: { architecture: 's390x', os: 'linux' } },
    ]);
    await rm(target, { recursive: true });
  });

  test('one that fails: no bundle, but the other is worked through and its disk is kept', async () => {
    const target = join(root.path, 'partial');
    const cache = ['--cache-dir', join(root.path, 'partial-cache')];
    const failing = stagedEngine(release.engine, silentFor('x86_64'));
    const first = await dehydrate(target, failing, ...cache);
    expect(first.code).toBe(6);
    expect(first.stdout.toString()).toBe('');
    expect(first.stderr).toContain('s390x: note: 6 of 6 artifacts are covered\n');
    expect(first.stderr).toContain(
      'error: the bundle was not written: 1 of 2 architectures failed: x86_64 [ARCHITECTURES_FAILED]\n',
    );
    expect(first.stderr).toMatch(
      /^error: x86_64: x86_64 vm: the guest went silent \[VM_SILENT\]$/m,
    );
    expect(first.stderr).toContain('fix: repair the cause, or skip them: --arch s390x\n');
    expect(await readdir(root.path)).not.toContain('partial');

    const again = stagedEngine(release.engine);
    expect((await dehydrate(target, again, ...cache)).code).toBe(0);
    expect(again.boots).toEqual(['x86_64']); // the disk of s390x is in the cache
    await rm(target, { recursive: true });
  });

  test('problems of the folder are reported for all architectures before any boot', async () => {
    const target = join(root.path, 'foreseen');
    const away = join(root.path, 'away');
    await mkdir(away);
    const files = ['x-qemu.raw.gz', 'z-gcp.tar.gz'];
    for (const name of files) await execa('mv', [join(release.folder, name), away]);
    const engine = stagedEngine(release.engine);
    const { code, stderr } = await dehydrate(target, engine);
    expect(code).toBe(5);
    expect(stderr).toContain('2 of 2 architectures failed: x86_64, s390x');
    expect(stderr).toContain('qemu: its file x-qemu.raw.gz is not among the artifacts');
    expect(stderr).toContain('gcp: its file z-gcp.tar.gz is not among the artifacts');
    const allowed = await dehydrate(target, engine, '--allow-missing', 'qemu');
    expect(allowed.stderr).toContain('1 of 2 architectures failed: s390x');
    expect(engine.boots).toEqual([]);
    expect((await dehydrate(target, engine, '--allow-missing', 'qemu,gcp/tar.gz')).code).toBe(0);

    // With `--arch all`, uncovered artifacts are reported at the end; the others are made.
    const asked = await rehydrate(engine, '--arch', 'all', '-p', 'qemu', '-b', target);
    expect(asked.code).toBe(5);
    expect(await readdir(out)).toEqual(['z-qemu.raw']);
    expect(asked.stderr).toMatch(/^x86_64 .* not covered: qemu$/m);
    expect(asked.stderr).toMatch(/^error: x86_64: done, except .*: qemu \[ARTIFACT_MISSING\]$/m);
    for (const name of files) await execa('mv', [join(away, name), release.folder]);
    await rm(target, { recursive: true });
  });

  test('a missing ISO: skipped with a note, an error with --arch all', async () => {
    const target = join(root.path, 'one-iso');
    const iso = join(release.folder, 'z-live.iso');
    await execa('mv', [iso, `${iso}.away`]);
    const strict = await dehydrate(target, release.engine, '--arch', 'all');
    expect(strict).toMatchObject({ code: 5, stderr: expect.stringContaining('z-live.iso') });
    const { code, stderr } = await dehydrate(target, release.engine);
    expect(code).toBe(0);
    expect(stderr).toContain('skipped s390x: no ISO');
    const { recipes } = await openBundle(target);
    expect(recipes.map(({ architecture }) => architecture)).toEqual(['x86_64']);
    await execa('mv', [`${iso}.away`, iso]);
    await rm(target, { recursive: true });
  });
});

test('inspect groups by architecture, after an overview', async () => {
  const { code, stdout } = await cli(['inspect', bundle]);
  expect(code).toBe(0);
  const text = stdout.toString();
  expect(text).toMatch(/^ARCHITECTURE +RELEASE +ISO +ARTIFACTS/m);
  expect(text).toMatch(/^x86_64 +42\.1 +660\.0 KiB +6 +0 .* gcp metal nutanix qemu$/m);
  expect(text).toMatch(/^s390x +42\.1 +660\.0 KiB +6 +0 .* gcp ibmcloud metal qemu$/m);
  const [overview = '', x86 = '', s390 = ''] = text.split(/^(?:x86_64|s390x) {2}test 42\.1$/m);
  expect(overview).not.toContain('opaque');
  expect(x86).toMatch(/^nutanix /m);
  expect(x86).not.toMatch(/^ibmcloud /m);
  expect(s390).toMatch(/^ibmcloud /m);
  const json = JSON.parse((await cli(['inspect', bundle, '--json'])).stdout.toString());
  expect(json.bundle.architectures.map((one: { architecture: Arch }) => one.architecture)).toEqual([
    'x86_64',
    's390x',
  ]);
});

test('the order of the architectures on the command line changes no byte', async () => {
  const target = join(root.path, 'reversed');
  const { code, stderr } = await dehydrate(target, release.engine, '--arch', 's390x,x86_64');
  expect(code, stderr).toBe(0);
  await execa('diff', ['-r', bundle, target]);
});

test('how many artifacts are worked on at a time changes no byte and no line', async () => {
  const made = await Promise.all(
    ['1', '7'].map(async (jobs) => {
      const target = join(root.path, `bundle-${jobs}`);
      const { code, stderr } = await dehydrate(target, release.engine, '--jobs', jobs);
      expect(code, stderr).toBe(0);
      const images = `${join(root.path, `images-${jobs}`)}/`;
      const how = ['-b', target, '-o', images, '--no-cache', ...BOTH, '--jobs', jobs];
      const result = await cli(how, { createEngine: () => release.engine });
      expect(result.code, result.stderr).toBe(0);
      await execa('sha256sum', ['--check', '--strict'], { input: result.stdout });
      return result.stdout.toString().replaceAll(images, '');
    }),
  );
  expect(made[0]?.split('\n')).toHaveLength(13);
  const names = (text = '') => text.split('\n').map((line) => line.replace(/^.* /, ''));
  for (const arch of ['x', 'z']) {
    const [one, seven] = made.map((text) => names(text).filter((name) => name.startsWith(arch)));
    expect(seven).toEqual(one);
  }
  const [one, seven] = ['1', '7'].map((jobs) => join(root.path, `bundle-${jobs}`));
  await execa('diff', ['-r', one ?? '', seven ?? '']);
}, 60_000);

test('jobs by the host’s cores and memory', () => {
  const GIB = 2 ** 30;
  const host = (cores: number, gib: number) => ({ cores, memory: gib * GIB });
  expect(workloadOf({}, host(1, 2))).toEqual({ jobs: 1, boots: 1 });
  expect(workloadOf({}, host(2, 24))).toEqual({ jobs: 2, boots: 2 });
  expect(workloadOf({}, host(8, 64))).toEqual({ jobs: 8, boots: 8 });
  expect(workloadOf({}, host(64, 8))).toEqual({ jobs: 6, boots: 2 });
  // A given --jobs counts, but only within a given --memory.
  expect(workloadOf({ jobs: 12 }, host(2, 8))).toEqual({ jobs: 12, boots: 2 });
  expect(workloadOf({ jobs: 12, memory: GIB }, host(2, 8)).jobs).toBe(2);
  expect(workloadOf({ memory: GIB / 4 }, host(8, 64))).toEqual({ jobs: 1, boots: 1 });
});

test.each(['0', '-1', '1.5', 'many', '65'])('--jobs %s is a usage error', async (jobs) => {
  const { code, stderr } = await cli(['-p', 'qemu', `--jobs=${jobs}`]);
  expect(code).toBe(2);
  expect(stderr).toContain('from 1 to 64');
});
