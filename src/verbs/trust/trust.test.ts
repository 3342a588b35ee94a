import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cli } from '../../../test/support/cli.ts';
import { fileServer } from '../../../test/support/file-server.ts';
import { type RegistryServer, registryServer } from '../../../test/support/registry-server.ts';
import { temporaryFolder, writeSyntheticBundle } from '../../../test/support/synthetic-bundle.ts';
import { forgeDocument } from '../../../test/support/tamper.ts';
import { openBundle } from '../../bundle/read.ts';
import { isUntrusted, NO_TRUST, refuseUntrusted } from '../../bundle/trust.ts';
import { createHttp } from '../../core/http/client.ts';
import { readTrusted } from './sources.ts';
import { DIGESTS } from './verify.ts';

/**
 * The genuine bundle, an attacker's with new recipes, stream and index, and two bundles that contradict
 * themselves.
 */
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let registry: RegistryServer;
let good: string;
let evil: string;
let digest: string;
const at = (...names: string[]) => join(folder.path, ...names);
const stream = () => at('stream.json');

beforeAll(async () => {
  folder = await temporaryFolder();
  await mkdir(at('good'));
  await mkdir(at('evil'));
  good = (await writeSyntheticBundle(at('good'))).path;
  evil = (await writeSyntheticBundle(at('evil'), { qemu: 'evil' })).path;
  digest = (await openBundle(good)).digest;
  const { stdout } = await cli(['stream', '-b', good]);
  await writeFile(stream(), stdout);
  registry = await registryServer(at('registry'));
}, 120_000);
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

let runs = 0;
/** Makes the kernel, which has the same digest in both bundles, or another image. */
async function make(bundle: string, ...more: string[]) {
  const out = at(`out-${runs++}`);
  const argv = ['-b', bundle, '-o', `${out}/`, '--cache-dir', at('cache'), ...more];
  const platform = more.includes('-p') ? [] : ['-p', 'metal/pxe'];
  const result = await cli([...argv, ...platform]);
  return { ...result, files: await readdir(out).catch(() => []) };
}

describe('--trust', () => {
  test('an image that is in the stream is made, whatever form the stream has', async () => {
    const document = JSON.parse(await readFile(stream(), 'utf8'));
    // As `openshift-install coreos print-stream-json` prints it, and OpenShift's ConfigMap.
    const printed = { ...document, metadata: { 'last-modified': '2026-01-01T00:00:00Z' } };
    await writeFile(at('printed.json'), JSON.stringify(printed, undefined, 2));
    const text = JSON.stringify(document);
    const map = { apiVersion: 'v1', kind: 'ConfigMap', data: { stream: text } };
    await writeFile(at('map.json'), JSON.stringify(map));
    await using server = await fileServer(new Map([['s.json', Buffer.from(text)]]));
    for (const name of [stream(), at('printed.json'), at('map.json'), `${server.url}/s.json`]) {
      const made = await make(good, '--trust', name);
      expect(made, made.stderr).toMatchObject({ code: 0 });
      expect(made.stderr).toContain(`vouched for by ${name}`);
    }
  });

  test('without it, each run says who vouches for the bundle', async () => {
    expect((await make(good)).stderr).toContain('vouched for by the bundle itself');
    expect((await make(good, '--quiet')).stderr).toBe('');
  });

  test('every verb refuses an attacker’s image, and no others', async () => {
    // Without --trust, the attack goes unnoticed.
    const shown = await cli(['inspect', evil]);
    expect(shown.stdout.toString()).toMatch(/qemu .* bundle$/m);

    const refused = await make(evil, '--trust', stream(), '-p', 'qemu');
    expect(refused).toMatchObject({ code: 4, files: [] });
    expect(refused.stderr).toContain('TRUST_ABSENT');
    expect(await make(evil, '--trust', stream())).toMatchObject({ code: 0 });
    const several = await make(evil, '--trust', stream(), '-p', 'qemu,metal/pxe/kernel');
    expect(several).toMatchObject({ code: 4, files: ['live-kernel'] });

    const inspected = await cli(['inspect', evil, '--trust', stream()]);
    expect(inspected.stdout.toString()).toMatch(/qemu .* nobody$/m);
    expect(inspected.stdout.toString()).toMatch(/metal\/pxe\/kernel .*stream\.json$/m);

    const report = at('report');
    const options = ['--trust', stream(), '--report', report, '--cache-dir', at('cache')];
    const audited = await cli(['audit', '-b', evil, '-p', 'qemu,metal/pxe', ...options]);
    expect(audited.code).toBe(4);
    const audit = JSON.parse(await readFile(join(report, 'audit.json'), 'utf8'));
    expect(audit.counts).toMatchObject({ GOOD: 2, BAD: 1 });
    expect(audit.request.trust).toMatchObject({
      grade: 'stream',
      streams: [{ name: stream(), sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }],
    });
    const statement = JSON.parse(await readFile(join(report, 'audit.intoto.json'), 'utf8'));
    expect(JSON.stringify(statement)).toContain('#audit-by-stream');
    expect(await readFile(join(report, 'audit.md'), 'utf8')).toContain('stream.json');

    const reference = `${registry.host}/coreos/evil:1`;
    expect((await cli(['push', '-b', evil, reference])).code).toBe(0);
    const pull = (...more: string[]) =>
      cli(['pull', reference, '-o', at('pulled'), '--trust', stream(), ...more]);
    expect(await pull()).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('TRUST_ABSENT'),
    });
    expect(await readdir(at())).not.toContain('pulled');
    expect((await pull('-p', 'metal/pxe')).code).toBe(0);
  });

  test('an image of the release under the name of another is refused', async () => {
    const [recipes] = (await openBundle(good)).recipes;
    const artifact = (file: string) => recipes?.artifacts.find((one) => one.file === file);
    const [kernel, initramfs] = [artifact('kernel'), artifact('initramfs')];
    if (!recipes || !kernel || !initramfs) throw new Error('the bundle has PXE files');
    const trusted = await readTrusted(stream(), { http: createHttp });
    const bundle = { trust: { ...NO_TRUST, streams: [trusted] } };
    expect(isUntrusted(bundle, recipes, initramfs)).toBe(false);
    const swapped = { ...initramfs, sha256: kernel.sha256 };
    expect(isUntrusted(bundle, recipes, swapped)).toBe(true);
    expect(() => refuseUntrusted(bundle, recipes, swapped)).toThrow('not vouched for');
    const elsewhere = { ...recipes, architecture: 's390x' as const };
    expect(isUntrusted(bundle, elsewhere, initramfs)).toBe(true);
  });

  test('recipes replaced without the stream contradict it, and are refused even without --trust', async () => {
    const forged = at('forged');
    await cp(good, forged, { recursive: true });
    await forgeDocument(forged, 'recipes', (json) => {
      json.artifacts[1].sha256 = 'a'.repeat(64);
    });
    const made = await make(forged, '--trust', stream());
    expect(made).toMatchObject({ code: 4, stderr: expect.stringContaining('STREAM_DIFFERS') });
  });

  test('a stream over plain HTTP is not read', async () => {
    const plain = await make(good, '--trust', 'http://example.com/stream.json');
    expect(plain).toMatchObject({ code: 2, stderr: expect.stringContaining('TRUST_SOURCE') });
    expect((await make(good, '--trust', at('gone.json'))).code).toBe(7);
    await writeFile(at('bad.json'), '{"stream":"x"}');
    expect((await make(good, '--trust', at('bad.json'))).code).toBe(3);
  });
});

describe('--expect', () => {
  test('a different index is refused, in a folder and under a tag', async () => {
    const pinned = ['--expect', `sha256:${digest}`];
    expect(await make(good, ...pinned)).toMatchObject({ code: 0 });
    expect((await make(good, ...pinned)).stderr).toContain('the expected digest of its index');
    const refused = await make(evil, ...pinned);
    expect(refused).toMatchObject({ code: 4, files: [] });
    expect(refused.stderr).toContain('TRUST_INDEX');

    const reference = `${registry.host}/coreos/exchanged:1`;
    expect((await cli(['push', '-b', evil, reference])).code).toBe(0);
    expect(await make(reference, ...pinned)).toMatchObject({ code: 4, files: [] });
    const pulled = await cli(['pull', reference, '-o', at('pulled-2'), ...pinned]);
    expect(pulled).toMatchObject({ code: 4, stderr: expect.stringContaining('TRUST_INDEX') });
    expect(await readdir(at())).not.toContain('pulled-2');
    expect((await make(good, '--expect', 'latest')).code).toBe(2);
  });
});

describe('trust.json', () => {
  const rules = (...all: unknown[]) =>
    writeFile(at('trust.json'), JSON.stringify({ schemaVersion: 1, rules: all }));
  const policy = () => ['--policy', at('trust.json')];

  test('requires options for some bundles, and can supply them', async () => {
    await rules(
      { reference: `${at('good')}/*`, require: ['trust', 'expect'], trust: ['stream.json'] },
      { reference: '*', require: ['verify'] },
    );
    const lacking = await make(good, ...policy());
    expect(lacking).toMatchObject({ code: 2, files: [] });
    expect(lacking.stderr).toContain('requires --expect for this bundle');
    const made = await make(good, ...policy(), '--expect', `sha256:${digest}`);
    expect(made, made.stderr).toMatchObject({ code: 0 });
    expect((await make(evil, ...policy())).stderr).toContain('requires --verify');

    await rules({ reference: '*', expect: `sha256:${digest}` });
    expect(await make(good, ...policy())).toMatchObject({ code: 0 });
    expect(await make(evil, ...policy())).toMatchObject({ code: 4 });
    // The command line cannot override a policy.
    const other = (await openBundle(evil)).digest;
    const overruled = await make(evil, ...policy(), '--expect', `sha256:${other}`);
    expect(overruled).toMatchObject({ code: 4 });

    await rules({ reference: 'elsewhere/*', require: ['trust'] });
    expect(await make(evil, ...policy())).toMatchObject({ code: 0 });
    await rules({ reference: '*', trusst: [] });
    expect((await make(good, ...policy())).code).toBe(3);
  });

  test('is read from the configuration folder, and named in the statement of an audit', async () => {
    await rules({ reference: '*', trust: [stream()] });
    await mkdir(at('config/iso-rehydrate'), { recursive: true });
    await cp(at('trust.json'), at('config/iso-rehydrate/trust.json'));
    const env = { XDG_CONFIG_HOME: at('config') };
    const report = at('report-policy');
    const options = ['-p', 'metal/pxe', '--report', report, '--cache-dir', at('cache')];
    const { code, stderr } = await cli(['audit', '-b', good, ...options], { env });
    expect(code, stderr).toBe(0);
    const statement = JSON.parse(await readFile(join(report, 'audit.intoto.json'), 'utf8'));
    const { stdout } = await execa('sha256sum', [at('trust.json')]);
    expect(statement.predicate.policy).toEqual({
      uri: `file://${at('config/iso-rehydrate/trust.json')}`,
      digest: { sha256: stdout.slice(0, 64) },
    });
    const refused = await cli(['-b', evil, '-p', 'qemu', '-o', at('x/')], { env });
    expect(refused.code).toBe(4);
    await rm(at('config'), { recursive: true });
  });
});

test('--verify needs a registry; the digest that cosign verified is read from its JSON', async () => {
  const made = await make(good, '--verify', 'notation');
  expect(made).toMatchObject({ code: 2, stderr: expect.stringContaining('TRUST_VERIFY') });
  const payload = (hex: string) => ({
    critical: { image: { 'docker-manifest-digest': `sha256:${hex}` } },
  });
  const a = 'a'.repeat(64);
  expect(DIGESTS.cosign(JSON.stringify([payload(a), payload(a)]))).toBe(a);
  expect(DIGESTS.cosign(JSON.stringify([payload(a), payload('b'.repeat(64))]))).toBeUndefined();
  expect(DIGESTS.cosign('[]')).toBeUndefined();
});
