import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { fileServer } from '../support/file-server.ts';
import { registryServer } from '../support/registry-server.ts';
import { schemaErrors } from '../support/schema.ts';
import { forgeDelta } from '../support/tamper.ts';
import { inView, LOOKS } from './support/browser.ts';
import { cli, filesBelow, qemusWith } from './support/cli.ts';
import {
  auditedArch,
  fixtureArches,
  fixtureDir,
  partialRelease,
  pick,
  promised,
} from './support/fixture.ts';
import { sha256sum } from './support/judge.ts';
import { inspected, RESTING, releaseBundle } from './support/release-bundle.ts';

/**
 * The work of release jobs, mirrors and auditors, on the bundle of the whole fixture. Disks come from the cache that
 * dehydrate has filled, or from the native engine; one audit boots an ISO. A few platforms of two architectures
 * stand for all; other test files make the others.
 */
const ARCHES = fixtureArches().slice(-2);
const PLATFORMS = ['metal', 'qemu', 'metal/iso', 'metal/pxe'];

let folder: string;
let bundle: string;
let cache: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'release-jobs-'));
  const made = await releaseBundle();
  bundle = made.bundle;
  // Links to the existing disks. Other test files remove some from the shared cache, so that a boot makes them
  // again; disks made here must not get in their way.
  cache = await mkdtemp(`${made.cache}-release-jobs-`);
  for (const part of ['metal', 'runs']) {
    await execa('cp', ['-al', join(made.cache, part), cache], { reject: false });
  }
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await rm(cache, { recursive: true, force: true });
});

const what = ['--arch', ARCHES.join(','), '--platform', PLATFORMS.join(',')];
const engine = () => [...RESTING, '--cache-dir', cache];

interface Judged {
  readonly architecture: string;
  readonly status: string;
  readonly label: string;
  readonly name: string;
  readonly sha256: string;
  readonly difference?: {
    readonly region: string;
    readonly bytes: number;
    readonly firstOffset: number;
  };
}

async function readReport(report: string) {
  const audit = JSON.parse(await readFile(join(report, 'audit.json'), 'utf8'));
  expect(schemaErrors('audit-report', audit)).toEqual([]);
  const judged: Judged[] = audit.architectures.flatMap(
    ({ architecture, artifacts }: { architecture: string; artifacts: Judged[] }) =>
      artifacts.map((artifact) => ({ ...artifact, architecture })),
  );
  return { audit, judged };
}

/** Runs the page's own script in a real browser. */
async function inBrowser(page: string, ...options: string[]): Promise<string> {
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--virtual-time-budget=3000'];
  const { stdout } = await execa('chromium', [...flags, ...options, `file://${page}`], {
    timeout: 60_000,
  });
  return stdout;
}

describe('audit', () => {
  test('GOOD: every artifact, as the stream promises', async () => {
    const report = join(folder, 'good');
    const { exitCode, stderr } = await cli([
      ...['audit', '-b', bundle, '--report', report, '--quiet', ...what, ...engine()],
    ]);
    expect(stderr).toBe('');
    expect(exitCode).toBe(0);
    const { audit, judged } = await readReport(report);
    expect(audit.verdict).toBe('GOOD');
    for (const arch of ARCHES) {
      const wanted = promised(arch).filter(
        ({ platform, format }) =>
          platform === 'qemu' || (platform === 'metal' && !/4k/.test(format)),
      );
      const mine = judged.filter(({ architecture }) => architecture === arch);
      expect(mine.map(({ name, sha256 }) => `${name} ${sha256}`).sort()).toEqual(
        wanted.map(({ name, sha256 }) => `${name} ${sha256}`).sort(),
      );
    }
    expect(await readdir(report)).not.toContain('bad');
  });

  test('both engines: the ISO boots and unpacks the same disk as our code', async () => {
    const arch = auditedArch();
    const report = join(folder, 'both');
    const { exitCode, stderr } = await cli([
      ...['audit', '-b', bundle, '--report', report, '--quiet', '--engine', 'both'],
      ...['--arch', arch, '--platform', 'metal/raw,qemu'],
      ...['--cache-dir', join(folder, 'empty-cache'), '--log-dir', join(folder, 'logs')],
    ]);
    expect(exitCode, stderr).toBe(0);
    const { audit, judged } = await readReport(report);
    const [{ engine, disks }] = audit.architectures;
    expect(audit).toMatchObject({ verdict: 'GOOD', request: { engine: 'both' } });
    expect(engine).toMatchObject({
      engine: 'both',
      detail: expect.stringMatching(/^qemu .* and native/),
    });
    expect(engine.seconds.boot).toBeGreaterThan(1);
    const wanted = promised(arch).filter(
      ({ platform, format }) =>
        platform === 'qemu' || (platform === 'metal' && format === 'raw.xz'),
    );
    expect(judged.map(({ sha256 }) => sha256).sort()).toEqual(
      wanted.map(({ sha256 }) => sha256).sort(),
    );
    // architectures.test.ts unpacks both disks of others in one boot.
    const { sha256 } = pick('metal', 'raw.xz', 'disk', arch);
    expect(disks).toEqual([expect.objectContaining({ base: 'metal', sha256 })]);
    expect(qemusWith(folder)).toEqual([]);
  });

  test('BAD: offset, bytes and words of a forged image; its page in a real browser', async () => {
    const forged = join(folder, 'forged');
    await execa('cp', ['-al', bundle, forged]);
    // The blobs are shared with the good bundle, but index.json is changed.
    await rm(join(forged, 'index.json'));
    await copyFile(join(bundle, 'index.json'), join(forged, 'index.json'));
    const arch = ARCHES[0] ?? 'x86_64';
    const { artifacts } = await inspected(bundle, arch);
    const qemu = artifacts.find(({ platform }) => platform === 'qemu');
    // A byte of the GPT's header that is 0: the upper bytes of its size.
    await forgeDelta(forged, qemu?.recipe.delta?.sha256 ?? '', new Map([[512 + 15, 7]]));
    const report = join(folder, 'bad');
    const { exitCode, stderr } = await cli([
      ...['audit', '-b', forged, '--artifacts', fixtureDir(), '--report', report, '--quiet'],
      ...['--arch', arch, '--platform', 'qemu,metal/iso', ...engine()],
    ]);
    expect(exitCode, stderr).toBe(4);
    const { judged } = await readReport(report);
    const bad = judged.find(({ label }) => label === 'qemu');
    expect(bad).toMatchObject({ status: 'BAD', difference: { bytes: 1 } });
    expect(bad?.difference?.region).toMatch(/^qcow2 cluster 0 › GPT: primary header$/);
    expect(judged.find(({ label }) => label === 'metal/iso')?.status).toBe('GOOD');
    // The differences that cmp(1) finds between the wrong image and the released one.
    const { released } = pick('qemu', 'qcow2.xz', 'disk', arch);
    const wrong = join(report, 'bad', bad?.name ?? '');
    const compare = `xz -dc "$0" | cmp -l "$1" - | awk '{print $1 - 1}'`;
    const { stdout: offset } = await execa('sh', ['-c', compare, released, wrong]);
    expect(offset).toBe(String(bad?.difference?.firstOffset));

    const page = join(report, 'audit.html');
    const dom = await inBrowser(page, '--dump-dom');
    expect(dom).toContain('<output>2 of 2 artifacts</output>'); // the script ran under the page's policy
    expect(dom.match(/<svg class="map"/g)).toHaveLength(2);
    expect(dom).toContain(`href="#${arch}/qemu"`); // problems come first, with a link
    expect(dom).toContain(`id="${arch}/qemu"`);
    expect(dom).toContain('GPT: primary header');
    const shot = join(report, 'audit.png');
    await inBrowser(page, `--screenshot=${shot}`, '--window-size=1280,1400');
    expect((await readFile(shot)).subarray(1, 4).toString()).toBe('PNG');
    expect((await stat(shot)).size).toBeGreaterThan(20_000); // an empty page is a tenth of it
    for (const width of [1280, 400]) {
      for (const scheme of ['light', 'dark'] as const) {
        const wrong = await inView(`file://${page}`, { width, scheme }, ({ evaluate }) =>
          evaluate<string[]>(LOOKS),
        );
        expect(wrong, `${width} pixels, ${scheme}`).toEqual([]);
      }
    }
  });
});

describe('examples', () => {
  /** A folder in which `iso-rehydrate` is the program under test. */
  async function environment(more: Record<string, string>) {
    const bin = join(folder, 'bin');
    await mkdir(bin, { recursive: true });
    const program = resolve('dist/src/cli/bin.js');
    const text = `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`;
    await writeFile(join(bin, 'iso-rehydrate'), text, { mode: 0o755 });
    // The cache is in its default place, so that the scripts need not name it.
    const home = join(folder, 'xdg');
    await mkdir(home, { recursive: true });
    await execa('ln', ['-sfn', cache, join(home, 'iso-rehydrate')]);
    const path = [bin, join(process.execPath, '..'), process.env.PATH].join(delimiter);
    return { PATH: path, XDG_CACHE_HOME: home, ISO_REHYDRATE_BUNDLE: bundle, ...more };
  }

  async function documents(name: string) {
    const text = await readFile(join('scripts/release', name), 'utf8');
    return parseAllDocuments(text).map((document) => document.toJS());
  }

  test('the Kubernetes Indexed Job: each index its part, the second job one report', async () => {
    const [, job] = await documents('kubernetes-audit.yaml');
    const [merge] = await documents('kubernetes-report.yaml');
    const { command, args } = job.spec.template.spec.containers[0];
    const reports = join(folder, 'k8s');
    const completions = 2;
    for (let index = 0; index < completions; index++) {
      const env = await environment({
        ...{ REPORTS: reports, PLATFORMS: 'metal/pxe,qemu', SHARDS: String(completions) },
        JOB_COMPLETION_INDEX: String(index),
      });
      await execa(command[0], [...command.slice(1), ...args], { env, extendEnv: false });
    }
    const second = merge.spec.template.spec.containers[0];
    const env = await environment({ REPORTS: reports });
    await execa(second.command[0], [...second.command.slice(1), ...second.args], {
      env,
      extendEnv: false,
    });
    const { judged, audit } = await readReport(join(reports, 'audit'));
    expect(audit.verdict).toBe('GOOD');
    const wanted = fixtureArches().flatMap((arch) =>
      promised(arch).filter(({ platform, format }) => platform === 'qemu' || format === 'pxe'),
    );
    expect(judged.map(({ name }) => name).sort()).toEqual(wanted.map(({ name }) => name).sort());
  });

  test('the GitHub Actions matrix: pull, plan, a job for each shard, one report', async () => {
    const [{ jobs }] = await documents('github-actions.yml');
    const scriptOf = (job: string, name: string): string =>
      jobs[job].steps.find((step: { name?: string }) => step.name === name).run;
    await using registry = await registryServer(join(folder, 'actions-registry'));
    const reference = `${registry.host}/coreos/bundle:1`;
    const platforms = 'metal/iso,metal/pxe';
    const some = ['--arch', ARCHES.join(','), '--platform', platforms];
    const pushed = await cli(['push', '-b', bundle, reference, '--quiet', ...some]);
    expect(pushed.exitCode, pushed.stderr).toBe(0);
    const cwd = join(folder, 'actions');
    await mkdir(cwd);
    const common = {
      ...{ REFERENCE: reference, BUNDLE: 'bundle', ENGINE: 'native', PLATFORMS: platforms },
      ...{ SHARDS: '3', GITHUB_OUTPUT: join(cwd, 'output') },
      GITHUB_STEP_SUMMARY: join(cwd, 'summary.md'),
    };
    const run = async (script: string, more: Record<string, string> = {}) =>
      execa('bash', ['-eo', 'pipefail', '-c', script], {
        ...{ cwd, env: await environment({ ...common, ...more }), extendEnv: false },
      });
    await run(scriptOf('plan', 'pull the recipes'));
    await run(scriptOf('plan', 'plan'));
    const output = (await readFile(common.GITHUB_OUTPUT, 'utf8')).trim();
    const shards: { shard: string; index: number }[] = JSON.parse(output.replace('shards=', ''));
    expect(shards).toHaveLength(3);
    for (const { shard, index } of shards) {
      await run(scriptOf('audit', 'pull'));
      await run(scriptOf('audit', 'audit'), { SHARD: shard, REPORT: `part-${index}` });
    }
    await run(scriptOf('report', 'merge'));
    const { judged } = await readReport(join(cwd, 'audit'));
    const wanted = ARCHES.flatMap((arch) =>
      promised(arch).filter(({ format }) => format === 'pxe' || format === 'iso'),
    );
    expect(judged.map(({ name }) => name).sort()).toEqual(wanted.map(({ name }) => name).sort());
    expect(await readFile(common.GITHUB_STEP_SUMMARY, 'utf8')).toContain('# Audit: GOOD');
  });

  test('the GitHub Actions build: a job for each architecture, one bundle, the bytes of a single job', async () => {
    const [{ jobs }] = await documents('github-build.yml');
    const scriptOf = (job: string, name: string): string =>
      jobs[job].steps.find((step: { name?: string }) => step.name === name).run;
    await using registry = await registryServer(join(folder, 'build-registry'));
    const reference = `${registry.host}/coreos/bundle:1`;
    // One stream of two architectures, and the files of each in a folder of its job.
    const streams = [];
    for (const arch of ARCHES) {
      await partialRelease(join(folder, 'build', arch, 'release'), [], arch);
      const path = join(folder, 'build', arch, 'release/stream.json');
      streams.push(JSON.parse(await readFile(path, 'utf8')));
    }
    const [first] = streams;
    const architectures = Object.assign({}, ...streams.map((one) => one.architectures));
    const stream = join(folder, 'build/stream.json');
    await writeFile(stream, JSON.stringify({ ...first, architectures }));
    const common = {
      ...{ STREAM: stream, REFERENCE: reference, ENGINE: 'native', AUTH: '{"auths":{}}' },
      REGISTRY_AUTH_FILE: join(folder, 'build/auth.json'),
      GITHUB_STEP_SUMMARY: join(folder, 'build/summary.md'),
    };
    const run = async (script: string, cwd: string, more: Record<string, string> = {}) =>
      execa('bash', ['-eo', 'pipefail', '-c', script], {
        ...{ cwd, env: await environment({ ...common, ...more }), extendEnv: false },
      });
    for (const arch of ARCHES) {
      for (const name of ['dehydrate', 'log in', 'push']) {
        await run(scriptOf('bundle', name), join(folder, 'build', arch), { ARCH: arch });
      }
    }
    await run(scriptOf('check', 'inspect'), join(folder, 'build'));
    const summary = await readFile(common.GITHUB_STEP_SUMMARY, 'utf8');
    for (const arch of ARCHES) expect(summary).toMatch(new RegExp(`^${arch} `, 'm'));
    const one = join(folder, 'build/one');
    const all = join(folder, 'build/all');
    await mkdir(all);
    for (const arch of ARCHES) {
      await execa('bash', [
        '-c',
        `cp -a "$1"/*.* "$2"`,
        'sh',
        join(folder, 'build', arch, 'release'),
        all,
      ]);
    }
    const made = await cli([
      ...['dehydrate', '--stream', stream, '--artifacts', all, '-o', one, '--quiet'],
      ...['--arch', ARCHES.join(','), ...engine()],
    ]);
    expect(made.exitCode, made.stderr).toBe(0);
    const pushed = await cli(['push', '-b', one, `${registry.host}/coreos/bundle:one`, '--quiet']);
    const { stdout: digest } = await execa('skopeo', [
      ...['inspect', '--raw', '--tls-verify=false', `docker://${reference}`],
    ]).pipe('sha256sum');
    expect(pushed.stdout.split('sha256:')[1]).toBe(digest.slice(0, 64));
  });

  test('the Tekton task: estimate, dehydrate, push, and a result that can be pulled', async () => {
    const [{ spec }] = await documents('tekton-task.yaml');
    const arch = ARCHES[0] ?? 'x86_64';
    const workspace = join(folder, 'tekton');
    await partialRelease(workspace, ['qemu'], arch);
    await using registry = await registryServer(join(folder, 'tekton-registry'));
    const digest = join(folder, 'tekton-digest');
    const given: Record<string, string> = { reference: `${registry.host}/coreos/bundle:1`, arch };
    // As Tekton's controller does before a step runs, except in scripts, which contain no variables of Tekton's.
    const variables = new Map<string, string>([
      ...spec.params.map((param: { name: string; default?: string }) => [
        `params.${param.name}`,
        given[param.name] ?? param.default,
      ]),
      ['workspaces.release.path', workspace],
      ['results.digest.path', digest],
    ]);
    const substituted = (text: string) =>
      text.replace(/\$\(([\w.]+)\)/g, (whole, name: string) => variables.get(name) ?? whole);
    const passed: Record<string, string> = {};
    for (const { name, value } of spec.stepTemplate.env) passed[name] = substituted(value);
    for (const [index, step] of spec.steps.entries()) {
      const script = join(folder, `tekton-step-${index}`);
      await writeFile(script, step.script, { mode: 0o755 });
      await execa(script, {
        ...{ cwd: substituted(step.workingDir), env: await environment(passed), extendEnv: false },
      });
    }
    const reference = await readFile(digest, 'utf8');
    expect(reference).toMatch(/^127\.0\.0\.1:\d+\/coreos\/bundle@sha256:[0-9a-f]{64}$/);
    const target = join(folder, 'tekton-pulled');
    const pulled = await cli(['pull', reference, '-o', target, '--without-iso', '--quiet']);
    expect(pulled.exitCode, pulled.stderr).toBe(0);
    const key = ({ name, sha256 }: { name: string; sha256: string }) => `${name} ${sha256}`;
    const wanted = promised(arch).filter(({ platform }) => /^(metal|qemu)$/.test(platform));
    const { artifacts } = await inspected(target, arch);
    expect(artifacts.map(key).sort()).toEqual(wanted.map(key).sort());
  });
});

test('estimate and stream: the fixture’s own metadata, in and out', async () => {
  const stream = join(fixtureDir(), 'stream.json');
  const args = ['estimate', '--stream', stream, '--artifacts', fixtureDir(), '--json'];
  const { exitCode, stdout } = await cli(args);
  expect(exitCode).toBe(0);
  const estimate = JSON.parse(stdout);
  expect(schemaErrors('estimate', estimate)).toEqual([]);
  for (const { architecture, covered, fetch } of estimate.architectures) {
    expect({ covered, fetch }).toEqual({ covered: promised(architecture).length, fetch: 0 });
  }
  const printed = await execa(process.execPath, ['dist/src/cli/bin.js', 'stream', '-b', bundle], {
    encoding: 'buffer',
    stripFinalNewline: false,
  });
  expect(Buffer.from(printed.stdout)).toEqual(await readFile(stream));
});

test('dehydrate --download: a release on a web server becomes a bundle', async () => {
  const arch = ARCHES[0] ?? 'x86_64';
  const release = join(folder, 'small');
  await partialRelease(release, [], arch);
  const wanted = promised(arch).filter(({ format }) => format === 'iso' || format === 'pxe');
  const files = new Map<string, Buffer>();
  for (const { released } of wanted) {
    files.set(released.split('/').at(-1) ?? '', await readFile(released));
  }
  await using server = await fileServer(files);
  const path = join(release, 'stream.json');
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.replace(/"https:\/\/[^"]*\/([^"/]+)"/g, `"${server.url}/$1"`));
  const target = join(folder, 'downloaded');
  const { exitCode, stderr } = await cli([
    ...['dehydrate', '--stream', path, '--artifacts', join(folder, 'fetched'), '--download'],
    ...['--arch', arch, '-o', target, '--quiet', ...engine()],
  ]);
  expect(exitCode, stderr).toBe(0);
  expect(server.requests).toHaveLength(wanted.length);
  const { artifacts } = await inspected(target, arch);
  expect(artifacts.map(({ name }) => name)).toEqual(
    expect.arrayContaining(wanted.map(({ name }) => name)),
  );
});

test('push, sign, verify and pull the part for one image, then make it', async () => {
  const arch = ARCHES[1] ?? ARCHES[0] ?? 'x86_64';
  await using registry = await registryServer(join(folder, 'registry'));
  // notation speaks plain HTTP to this name only.
  const reference = `${registry.host.replace('127.0.0.1', 'localhost')}/coreos/bundle`;
  const pushed = await cli(['push', '-b', bundle, `${reference}:1`, '--arch', arch, '--quiet']);
  expect(pushed.exitCode, pushed.stderr).toBe(0);
  const policy = join(folder, 'trustpolicy.json');
  const trusted = {
    ...{ name: 'it', registryScopes: [reference], trustedIdentities: ['*'] },
    ...{ trustStores: ['ca:e2e'], signatureVerification: { level: 'strict' } },
  };
  await writeFile(policy, JSON.stringify({ version: '1.0', trustPolicies: [trusted] }));
  const notation = (...args: string[]) =>
    execa('notation', args, { env: { XDG_CONFIG_HOME: join(folder, 'notation') } });
  await notation('certificate', 'generate-test', '--default', 'e2e');
  await notation('policy', 'import', policy);
  await expect(notation('verify', pushed.stdout)).rejects.toThrow('no signature is associated');
  const image = join(folder, 'pulled.qcow2');
  const direct = ['-b', `${reference}:1`, '--arch', arch, '-p', 'qemu', '-o', image];
  const verifying = [...direct, '--verify', 'notation', '--quiet', ...engine()];
  const env = { XDG_CONFIG_HOME: join(folder, 'notation') };
  const unsigned = await cli(verifying, { env });
  expect(unsigned.exitCode).toBe(4);
  expect(unsigned.stderr).toContain('TRUST_SIGNATURE');
  await notation('sign', pushed.stdout);
  const signed = await cli(verifying, { env });
  expect(signed.exitCode, signed.stderr).toBe(0);
  expect(await sha256sum(image)).toBe(pick('qemu', 'qcow2.xz', 'disk', arch).sha256);
  await rm(image);
  const { stdout: verified } = await notation('verify', `${reference}:1`);
  expect(verified).toBe(`Successfully verified signature for ${pushed.stdout}`);

  const target = join(folder, 'pulled');
  const pulled = await cli([
    ...['pull', pushed.stdout, '-o', target, '--arch', arch, '--platform', 'qemu', '--quiet'],
  ]);
  expect(pulled.exitCode, pulled.stderr).toBe(0);
  expect(pulled.stdout).toBe(pushed.stdout);
  const all = filesBelow(bundle).length;
  expect(filesBelow(target).length).toBeLessThan(all);
  const made = await cli([
    ...['-b', target, '--arch', arch, '-p', 'qemu', '-o', image, '--quiet', ...engine()],
  ]);
  expect(made.exitCode, made.stderr).toBe(0);
  expect(await sha256sum(image)).toBe(pick('qemu', 'qcow2.xz', 'disk', arch).sha256);
});

test('serve: an installer’s way through the stream to an image, and Ctrl-C', async () => {
  const arch = ARCHES[0] ?? 'x86_64';
  const images = join(folder, 'served');
  const args = ['serve', '-b', bundle, '--listen', '0', '--images', images, '--json', ...engine()];
  const server = execa(process.execPath, ['dist/src/cli/bin.js', ...args], { reject: false });
  const { promise, resolve: ready } = Promise.withResolvers<string>();
  server.stdout.once('data', (line: Buffer) => ready(JSON.parse(line.toString()).url));
  const url = await promise;
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  const stream = JSON.parse((await execa('curl', ['-sf', `${url}/stream.json`])).stdout);
  const { disk } = stream.architectures[arch].artifacts.qemu.formats['qcow2.xz'];
  const file = join(folder, 'served.qcow2');
  // Two downloads at once, like two nodes that install; the second one is interrupted and resumed.
  await writeFile(`${file}.2`, '');
  const both = [
    execa('curl', ['-sf', '-o', file, disk.location]),
    execa('curl', ['-sf', '-r', '0-999999', '-o', `${file}.2`, disk.location]),
  ];
  await Promise.all(both);
  await execa('curl', ['-sf', '-C', '-', '-o', `${file}.2`, disk.location]);
  const { sha256, name } = pick('qemu', 'qcow2.xz', 'disk', arch);
  expect(disk.location).toMatch(new RegExp(`^${url}/prod/streams/.*/${name}$`));
  expect(disk.sha256).toBe(sha256);
  expect(await sha256sum(file)).toBe(sha256);
  expect(await sha256sum(`${file}.2`)).toBe(sha256);
  expect(await readdir(images)).toEqual([sha256]);
  server.kill('SIGINT');
  const { exitCode } = await server;
  expect(exitCode).toBe(130);
});
