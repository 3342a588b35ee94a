import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli } from '../../../test/support/cli.ts';
import { schemaErrors } from '../../../test/support/schema.ts';
import { temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import {
  type SyntheticRelease,
  writeSyntheticRelease,
} from '../../../test/support/synthetic-release.ts';
import { forgeDelta } from '../../../test/support/tamper.ts';
import { openBundle } from '../../bundle/read.ts';
import { EngineError } from '../../core/errors.ts';
import type { MetalEngine } from '../../engine/engine.ts';
import { renderHtml } from './render/html.ts';
import { type AuditReport, decodeAuditReport } from './report.ts';

interface Stage {
  readonly root: string;
  readonly release: SyntheticRelease;
  readonly bundle: string;
}

/** Made once: the release with containers, of two architectures, as a bundle, and its disks in a cache. */
let made: Awaited<ReturnType<typeof temporaryFolder>>;
let release: SyntheticRelease;
beforeAll(async () => {
  made = await temporaryFolder();
  release = await writeSyntheticRelease(join(made.path, 'release'), {
    arches: ['x86_64', 's390x'],
    containers: true,
  });
  await dehydrate(release, made.path);
}, 300_000);
afterAll(() => made[Symbol.asyncDispose]());

async function dehydrate(from: SyntheticRelease, root: string, ...more: string[]): Promise<string> {
  const bundle = join(root, 'bundle');
  const argv = ['dehydrate', '--stream', from.streamPath, '--artifacts', from.folder];
  const { code, stderr } = await cli(
    [...argv, '-o', bundle, '--cache-dir', join(root, 'cache'), ...more],
    { createEngine: () => from.engine },
  );
  expect(code, stderr).toBe(0);
  return bundle;
}

/** A copy of it all, to be damaged. */
async function setUp(root: string): Promise<Stage> {
  // Not node:fs cp, which would lose the times by which the cache knows its disks.
  await execa('cp', ['-a', `${made.path}/.`, root]);
  const copy = { ...release, folder: join(root, 'release') };
  return { root, release: copy, bundle: join(root, 'bundle') };
}

async function runAudit(
  { root, release, bundle }: Stage,
  more: readonly string[] = [],
  engine: MetalEngine = release.engine,
  folder = 'report',
) {
  const report = join(root, folder);
  const argv = ['audit', '-b', bundle, '--report', report, '--cache-dir', join(root, 'cache')];
  const result = await cli([...argv, ...more], { createEngine: () => engine });
  const path = join(report, 'audit.json');
  const json = await readFile(path).catch(() => undefined);
  return { ...result, folder: report, report: json && decodeAuditReport(json, path) };
}

const flatten = (report: AuditReport | undefined) =>
  (report?.architectures ?? []).flatMap(({ architecture, artifacts }) =>
    artifacts.map((artifact) => ({ architecture, ...artifact })),
  );
const one = (report: AuditReport | undefined, label: string) => {
  const found = flatten(report).find((artifact) => artifact.label === label);
  if (found === undefined) throw new Error(`the report has no ${label}`);
  return found;
};
const deltaOf = async (bundle: string, platform: string) => {
  const { recipes } = await openBundle(bundle);
  const recipe = recipes[0]?.artifacts.find((artifact) => artifact.platform === platform)?.recipe;
  if (recipe?.kind !== 'delta' && recipe?.kind !== 'container') throw new Error('no delta');
  return recipe.delta.sha256;
};

test('a sound bundle is GOOD, in every form of the report', async () => {
  await using root = await temporaryFolder();
  const stage = await setUp(root.path);
  const { code, stdout, stderr, folder, report } = await runAudit(stage);
  expect(code, stderr).toBe(0);
  expect(report).toMatchObject({ verdict: 'GOOD', counts: { BAD: 0, FAIL: 0, UNCOVERED: 0 } });
  expect(report?.architectures.map(({ architecture }) => architecture)).toEqual([
    'x86_64',
    's390x',
  ]);
  expect(stdout.toString()).toMatch(/^GOOD {7}s390x vmware +[0-9a-f]{64}$/m);
  expect(schemaErrors('audit-report', JSON.parse(JSON.stringify(report)))).toEqual([]);

  // Every byte has an origin, and containers are told by what is in them.
  for (const { map, size, label } of flatten(report)) {
    const total = Object.values(map?.totals ?? {}).reduce((sum, bytes) => sum + bytes, 0);
    expect(total, label).toBe(map?.of === 'file' ? size : map?.size);
    expect(map?.cells).toHaveLength(256);
  }
  expect(one(report, 'vmware').madeFrom).toBe('splice < vmdk < metal');
  expect(one(report, 'qemu').map?.totals.delta).toBeLessThan(100);
  expect(one(report, 'metal/iso').map?.cells).toMatch(/^[i.]*i[i.]*$/);
  expect(report?.architectures[0]?.engine).toMatchObject({ engine: 'qemu' });
  expect(report?.tools).toMatchObject({ node: '24.0.0', 'iso-rehydrate': expect.any(String) });

  // JUnit, as somebody else's parser reads it.
  const script =
    'import sys,xml.etree.ElementTree as e;r=e.parse(sys.argv[1]).getroot();print(r.get("tests"),r.get("failures"),len(r.findall("testsuite/testcase")))';
  const { stdout: counted } = await execa('python3', [
    '-c',
    script,
    join(folder, 'audit.junit.xml'),
  ]);
  const tests = flatten(report).length;
  expect(counted).toBe(`${tests} 0 ${tests}`);
  const markdown = await readFile(join(folder, 'audit.md'), 'utf8');
  expect(markdown).toContain('# Audit: GOOD');
  expect(markdown.match(/^\| GOOD \|/gm)).toHaveLength(tests);

  // The statement covers the bundle and every artifact.
  const statement = JSON.parse(await readFile(join(folder, 'audit.intoto.json'), 'utf8'));
  expect(statement).toMatchObject({
    _type: 'https://in-toto.io/Statement/v1',
    predicateType: 'https://slsa.dev/verification_summary/v1',
    predicate: { verificationResult: 'PASSED' },
  });
  expect(statement.subject).toHaveLength(tests + 1);
  const index = JSON.parse(await readFile(join(stage.bundle, 'index.json'), 'utf8'));
  expect(`sha256:${statement.subject[0].digest.sha256}`).toBe(index.manifests[0].digest);
  expect(await readdir(folder)).not.toContain('bad');
});

test('BAD: where and how it differs, in words, with a file to inspect', async () => {
  await using root = await temporaryFolder();
  const stage = await setUp(root.path);
  const edits = new Map([
    [1_200_000, 1],
    [1_200_001, 2],
    [1_300_000, 3],
  ]);
  await forgeDelta(stage.bundle, await deltaOf(stage.bundle, 'qemu'), edits);
  const { code, stderr, stdout, report, folder } = await runAudit(stage, [
    ...['--artifacts', stage.release.folder, '--arch', 'x86_64'],
  ]);
  expect(code, stderr).toBe(4);
  expect(stderr).toContain('AUDIT_BAD');
  expect(stderr).toContain('BAD: x86_64 qemu');
  expect(stdout.toString()).toMatch(/^BAD {8}x86_64 qemu/m);
  const bad = one(report, 'qemu');
  expect(flatten(report).filter(({ status }) => status !== 'GOOD')).toEqual([bad]);

  // What cmp(1) says of the file that was kept.
  const released = join(root.path, 'qemu.raw');
  await writeFile(
    released,
    gunzipSync(await readFile(join(stage.release.folder, 'x-qemu.raw.gz'))),
  );
  const kept = join(folder, 'bad', 'x-qemu.raw');
  const { stdout: cmp } = await execa('cmp', ['-l', kept, released], { reject: false });
  const offsets = cmp.split('\n').map((line) => Number(line.trim().split(' ')[0]) - 1);
  expect(bad.difference).toMatchObject({
    firstOffset: offsets[0],
    lastOffset: offsets.at(-1),
    bytes: offsets.length,
  });
  expect(bad.found?.sha256).toBe((await execa('sha256sum', [kept])).stdout.slice(0, 64));
  expect(bad.diffoscope).toBe(
    `gzip -dc ${join(stage.release.folder, 'x-qemu.raw.gz')} >${kept}.released && diffoscope ${kept}.released ${kept}`,
  );
  expect(schemaErrors('audit-report', JSON.parse(JSON.stringify(report)))).toEqual([]);
  expect(await readFile(join(folder, 'audit.md'), 'utf8')).toContain('### BAD: x86_64 qemu');
  const statement = JSON.parse(await readFile(join(folder, 'audit.intoto.json'), 'utf8'));
  expect(statement.predicate.verificationResult).toBe('FAILED');
  expect(JSON.stringify(statement.subject)).not.toContain('x-qemu.raw"');

  // Inside of containers, too.
  await forgeDelta(stage.bundle, await deltaOf(stage.bundle, 'vmware'), new Map([[1_200_000, 1]]));
  const again = await runAudit(stage, [
    '--artifacts',
    stage.release.folder,
    '-p',
    'vmware',
    '-a',
    'x86_64',
  ]);
  expect(one(again.report, 'vmware').difference?.region).toMatch(
    /^member disk\.vmdk › VMDK grain 18 › /,
  );

  // Without the released file, what is known.
  await rm(join(folder, 'bad'), { recursive: true });
  const blind = await runAudit(stage, ['-p', 'qemu', '-a', 'x86_64']);
  expect(blind.code).toBe(4);
  expect(one(blind.report, 'qemu')).toMatchObject({ status: 'BAD', found: bad.found });
  expect(one(blind.report, 'qemu').difference).toBeUndefined();
  expect(blind.stderr).toContain('--artifacts');
});

test('a damaged blob is BAD; a released file that is not the released one proves nothing', async () => {
  await using root = await temporaryFolder();
  const stage = await setUp(root.path);
  const path = join(stage.bundle, 'blobs/sha256', await deltaOf(stage.bundle, 'qemu'));
  const bytes = await readFile(path);
  bytes[bytes.length - 3] = (bytes.at(-3) ?? 0) ^ 1;
  await writeFile(path, bytes);
  const released = join(stage.release.folder, 'x-qemu.raw.gz');
  await writeFile(released, (await readFile(released)).fill(7, 4, 8));
  const { code, report, stderr } = await runAudit(stage, [
    ...['--artifacts', stage.release.folder, '-a', 'x86_64'],
  ]);
  expect(code).toBe(4);
  expect(one(report, 'qemu')).toMatchObject({ status: 'BAD', error: { code: 'BLOB_DIGEST' } });
  expect(one(report, 'qemu').difference).toBeUndefined();
  expect(stderr).toContain('cannot show where it differs');
});

test('FAIL: an artifact that could not be tried does not affect the others', async () => {
  await using root = await temporaryFolder();
  const stage = await setUp(root.path);
  await rm(join(root.path, 'cache'), { recursive: true });
  const broken: MetalEngine = {
    name: 'qemu',
    regenerate: () => Promise.reject(new EngineError('it \x1b[31mdied', { code: 'VM_EXITED' })),
  };
  const { code, report, stderr } = await runAudit(stage, ['-a', 'x86_64'], broken);
  expect(code, stderr).toBe(6);
  expect(report?.verdict).toBe('FAIL');
  expect(one(report, 'qemu')).toMatchObject({
    status: 'FAIL',
    error: { kind: 'engine', code: 'VM_EXITED', message: 'it ?[31mdied' },
  });
  expect(one(report, 'metal/iso').status).toBe('GOOD');
  expect(schemaErrors('audit-report', JSON.parse(JSON.stringify(report)))).toEqual([]);
});

test('UNCOVERED: artifacts that the bundle lists as missing', async () => {
  await using root = await temporaryFolder();
  const small = await writeSyntheticRelease(join(root.path, 'release'));
  await rm(join(small.folder, 'x-nutanix.qcow2'));
  const bundle = await dehydrate(small, root.path, '--allow-missing', 'nutanix');
  const { code, report, stderr } = await runAudit({ root: root.path, release: small, bundle });
  expect(code).toBe(5);
  expect(report).toMatchObject({ verdict: 'UNCOVERED', counts: { UNCOVERED: 1 } });
  expect(one(report, 'nutanix').error?.message).toContain('not among the artifacts');
  expect(stderr).toContain('UNCOVERED: x86_64 nutanix');
});

test('a disk made by another engine does not count as this engine’s', async () => {
  await using root = await temporaryFolder();
  const stage = await setUp(root.path);
  let runs = 0;
  const native: MetalEngine = {
    name: 'native',
    async regenerate(request) {
      runs++;
      return { ...(await stage.release.engine.regenerate(request)), engine: 'native' };
    },
  };
  await runAudit(stage);
  const { report } = await runAudit(stage, ['--engine', 'native'], native);
  expect(runs).toBe(2);
  expect(report?.architectures[0]?.engine?.engine).toBe('native');
});

test('shards judge each artifact once and merge into one report', async () => {
  const of = 3;
  await using root = await temporaryFolder();
  const stage = await setUp(root.path);
  const whole = await runAudit(stage);
  const folders: string[] = [];
  for (let i = 1; i <= of; i++) {
    const part = await runAudit(stage, ['--shard', `${i}/${of}`], undefined, `part-${i}`);
    expect(part.code, part.stderr).toBe(0);
    folders.push(part.folder);
  }
  const out = join(root.path, 'merged');
  const merge = await cli(['audit', '--merge', ...folders, '--report', out]);
  expect(merge.code, merge.stderr).toBe(0);
  expect(merge.stderr).toContain(
    'merge: note: the parts were not compared with the bundle (--bundle)',
  );
  expect(merge.stderr).toContain('no signature of theirs was checked (--part-key)');
  const compared = await cli(['audit', '--merge', ...folders, '-b', stage.bundle, '--report', out]);
  expect(compared.code, compared.stderr).toBe(0);
  expect(compared.stderr).not.toContain('were not compared');
  expect(compared.stderr).toContain('no signature of theirs was checked (--part-key)');
  const merged = decodeAuditReport(await readFile(join(out, 'audit.json')), 'merged');
  const names = (report: AuditReport | undefined) =>
    flatten(report).map(({ architecture, status, label, sha256 }) => ({
      ...{ architecture, status, label, sha256 },
    }));
  expect(names(merged)).toEqual(names(whole.report));
  expect(merged.request).toEqual(whole.report?.request);

  const incomplete = await cli(['audit', '--merge', ...folders.slice(1), '--report', out]);
  expect(incomplete).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(`missing: 1/${of}`),
  });
  const twice = await cli(['audit', '--merge', ...folders, folders[0] ?? '', '--report', out]);
  expect(twice).toMatchObject({ code: 2, stderr: expect.stringContaining('AUDIT_TWICE') });
});

test('a merged report is signed only if its parts are proved', async () => {
  await using root = await temporaryFolder();
  const stage = await setUp(root.path);
  const at = (name: string) => join(root.path, name);
  for (const name of ['key', 'other']) {
    await execa('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', at(`${name}.pem`)]);
    await execa('openssl', [
      'pkey',
      '-in',
      at(`${name}.pem`),
      '-pubout',
      '-out',
      at(`${name}.pub`),
    ]);
  }
  const asked = ['-p', 'metal/iso,qemu,aws', '-a', 'x86_64'];
  const shard = async (i: number, more: string[], folder = `part-${i}`) => {
    const argv = ['--shard', `${i}/2`, ...asked, ...more];
    const { code, stderr, folder: made } = await runAudit(stage, argv, undefined, folder);
    expect(code, stderr).toBe(0);
    return made;
  };
  const one = await shard(1, ['--sign-key', at('other.pem')]);
  const two = await shard(2, ['--sign-key', at('other.pem')]);
  const unsigned = await shard(2, [], 'unsigned');
  const out = at('merged');
  const merge = async (folders: string[], more: string[] = []) => {
    await rm(out, { recursive: true, force: true });
    const argv = ['audit', '--merge', ...folders, '--report', out, '--sign-key', at('key.pem')];
    const { code, stderr } = await cli([...argv, ...more]);
    const left = await readdir(out).catch(() => []);
    return { code, said: /\[([A-Z_]+)\]/.exec(stderr)?.[1], left };
  };
  const bundle = ['-b', stage.bundle];
  const known = [...bundle, '--part-key', at('other.pub')];
  const refused = (code: number, said: string) => ({ code, said, left: [] });

  expect(await merge([one, two], known)).toMatchObject({ code: 0 });
  const statement = JSON.parse(await readFile(join(out, 'audit.intoto.json'), 'utf8'));
  expect(statement.predicate.verificationResult).toBe('PASSED');
  expect(statement.predicate.inputAttestations).toHaveLength(2);

  expect(await merge([one, two])).toEqual(refused(2, 'MERGE_BUNDLE'));
  expect(await merge([one, two], bundle)).toEqual(refused(4, 'AUDIT_UNSIGNED'));
  expect(await merge([one, unsigned], known)).toEqual(refused(4, 'AUDIT_UNSIGNED'));
  expect(await merge([one, two, two], known)).toEqual(refused(2, 'AUDIT_TWICE'));
  expect(await merge([one], known)).toEqual(refused(2, 'AUDIT_INCOMPLETE'));

  // Of what a shard reports, nothing can be changed, left out or made up.
  const forge = async (folder: string, change: (report: AuditReport) => void) => {
    const forged = `${folder}-forged`;
    await execa('cp', ['-aT', folder, forged]);
    const report = JSON.parse(await readFile(join(forged, 'audit.json'), 'utf8'));
    change(report);
    await writeFile(join(forged, 'audit.json'), `${JSON.stringify(report, undefined, 2)}\n`);
    return forged;
  };
  const seconds = await forge(one, (report) => {
    for (const { artifacts } of report.architectures) for (const it of artifacts) it.seconds = 1e3;
  });
  expect(await merge([seconds, two], known)).toEqual(refused(4, 'AUDIT_UNSIGNED'));
  const changes: ((report: AuditReport) => void)[] = [
    ({ architectures: [arch] }) => void arch?.artifacts.pop(),
    ({ architectures }) => void architectures.pop(),
    ({ architectures: [arch] }) => void Object.assign(arch?.artifacts[0] ?? {}, { name: 'evil' }),
    ({ architectures: [arch] }) =>
      void Object.assign(arch?.artifacts[0] ?? {}, { sha256: 'e'.repeat(64) }),
    ({ architectures: [arch] }) =>
      void Object.assign(arch?.artifacts[0] ?? {}, { attestation: 'computed' }),
    ({ architectures: [arch] }) => void Object.assign(arch ?? {}, { architecture: 's390x' }),
    ({ architectures: [arch] }) => void Object.assign(arch?.iso ?? {}, { sha256: 'e'.repeat(64) }),
    (report) => void Object.assign(report.counts, { GOOD: 9 }),
    (report) => void Object.assign(report, { verdict: 'BAD' }),
  ];
  for (const change of changes) {
    const forged = await forge(one, change);
    const { code, said } = await merge([forged, two], known);
    expect({ code, said }, String(change)).toEqual({ code: 4, said: 'AUDIT_PLAN' });
    // Without a key to sign with, the bundle is compared all the same.
    const argv = ['audit', '--merge', forged, two, '--report', out, ...bundle];
    expect(await cli(argv)).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('AUDIT_PLAN'),
    });
  }
  const other = await forge(
    one,
    ({ bundle: of }) => void Object.assign(of, { index: 'e'.repeat(64) }),
  );
  expect(await merge([other, two], known)).toEqual(refused(4, 'AUDIT_BUNDLES'));
  const engine = await forge(
    one,
    ({ request }) => void Object.assign(request, { engine: 'native' }),
  );
  expect(await merge([engine, two], known)).toEqual(refused(2, 'AUDIT_REQUESTS'));
});

test.each(['ed25519', 'ec'])(
  'the statement is signed with a key of kind %s, as openssl agrees',
  async (kind) => {
    await using root = await temporaryFolder();
    const stage = await setUp(root.path);
    const key = join(root.path, 'key.pem');
    const pub = join(root.path, 'pub.pem');
    const options = kind === 'ec' ? ['-pkeyopt', 'ec_paramgen_curve:P-256'] : [];
    await execa('openssl', ['genpkey', '-algorithm', kind, ...options, '-out', key]);
    await execa('openssl', ['pkey', '-in', key, '-pubout', '-out', pub]);
    const { code, folder } = await runAudit(stage, ['--sign-key', key, '-p', 'metal/iso']);
    expect(code).toBe(0);
    const envelope = JSON.parse(await readFile(join(folder, 'audit.intoto.dsse.json'), 'utf8'));
    const payload = Buffer.from(envelope.payload, 'base64');
    expect(JSON.parse(payload.toString())).toEqual(
      JSON.parse(await readFile(join(folder, 'audit.intoto.json'), 'utf8')),
    );
    const type = 'application/vnd.in-toto+json';
    const head = `DSSEv1 ${type.length} ${type} ${payload.length} `;
    const signed = join(root.path, 'signed');
    const sig = join(root.path, 'sig');
    await writeFile(signed, Buffer.concat([Buffer.from(head), payload]));
    await writeFile(sig, Buffer.from(envelope.signatures[0].sig, 'base64'));
    const verify =
      kind === 'ec'
        ? ['dgst', '-sha256', '-verify', pub, '-signature', sig, signed]
        : ['pkeyutl', '-verify', '-pubin', '-inkey', pub, '-rawin', '-sigfile', sig, '-in', signed];
    await execa('openssl', verify);

    await writeFile(key, 'no key');
    const refused = await runAudit(stage, ['--sign-key', key, '-p', 'metal/iso']);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('SIGN_KEY') });
  },
);

test('hostile names come out of the page as text', async () => {
  await using root = await temporaryFolder();
  const { report } = await runAudit(await setUp(root.path), ['-p', 'metal/iso']);
  const [arch] = report?.architectures ?? [];
  if (report === undefined || arch === undefined) throw new Error('no report');
  const html = renderHtml({
    ...report,
    bundle: { ...report.bundle, path: '</dd><script>alert(1)</script>' },
  });
  expect(html).not.toContain('<script>alert');
  expect(html.match(/<script>/g)).toHaveLength(1);
});

test('usage errors', async () => {
  await using root = await temporaryFolder();
  expect(await cli(['audit', '-b', root.path])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--report'),
  });
  for (const shard of ['0/2', '3/2', '2', 'x/y', '1/0']) {
    const { code } = await cli(['audit', '--report', root.path, '--shard', shard]);
    expect(code, shard).toBe(2);
  }
  const { code } = await cli(['audit', '--merge', root.path, '--report', root.path]);
  expect(code).toBe(7);
  expect((await stat(root.path)).isDirectory()).toBe(true);
});
