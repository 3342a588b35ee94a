import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { accepts } from '../../support/accepts.ts';
import { examples, ownCommands, readExample } from '../../support/pages.ts';
import { temporaryFolder } from '../../support/synthetic-bundle.ts';

/** Values for the jobs' variables, so that their command lines can be parsed. */
const VARIABLES = { SHARD: '1/4', SHARDS: '4', ENGINE: 'native', ARCH: 'all' };

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const YAML = examples(/\.ya?ml$/);

function documentsOf(name: string): Json[] {
  return parseAllDocuments(readExample(name)).map((document) => {
    expect(document.errors, name).toEqual([]);
    expect(document.warnings, name).toEqual([]);
    return document.toJS() as Json;
  });
}

/** Every value whose key has one of these names, with the object that holds it. */
function found(root: unknown, keys: RegExp): { value: unknown; holder: Json }[] {
  if (Array.isArray(root)) return root.flatMap((one) => found(one, keys));
  if (!isObject(root)) return [];
  return Object.entries(root).flatMap(([key, value]) => [
    ...(keys.test(key) ? [{ value, holder: root }] : []),
    ...found(value, keys),
  ]);
}

/** Scripts that a shell runs. */
const scriptsOf = (name: string): string[] =>
  documentsOf(name)
    .flatMap((document) => found(document, /^(run|script|args)$/))
    .flatMap(({ value }) => value)
    .filter((value): value is string => typeof value === 'string');

test('the examples are those that the page for release jobs lists', () => {
  expect(YAML).toEqual([
    'github-actions.yml',
    'github-build.yml',
    'kubernetes-audit.yaml',
    'kubernetes-report.yaml',
    'tekton-run.yaml',
    'tekton-task.yaml',
  ]);
});

test.each(YAML)(
  '%s: the YAML, its scripts and our command lines in them are valid',
  async (name) => {
    const scripts = scriptsOf(name);
    for (const script of scripts) await execa('bash', ['-n'], { input: script });
    const commands = scripts.flatMap((script) => ownCommands(script, VARIABLES));
    expect(commands.length > 0).toBe(name !== 'tekton-run.yaml');
    for (const words of commands) expect(await accepts(words), words.join(' ')).toBeUndefined();
  },
);

test('a wrong option is found', async () => {
  expect(await accepts(['audit', '--bundel', 'x', '--report', 'y'])).toContain('unknown option');
  expect(ownCommands('x=$(iso-rehydrate plan --shards "$SHARDS" \\\n  --json)', VARIABLES)).toEqual(
    [['plan', '--shards', '4', '--json']],
  );
});

test.each(YAML)('%s: nothing is substituted into a script, where a shell would run it', (name) => {
  for (const script of scriptsOf(name)) {
    expect(script).not.toMatch(/\$\{\{/); // GitHub
    expect(script).not.toMatch(/\$\((params|workspaces|results|context|tasks)\b/); // Tekton
  }
});

test.each(YAML)('%s: a failure in a pipe or a substitution ends the script', (name) => {
  for (const { value, holder } of documentsOf(name).flatMap((one) =>
    found(one, /^(run|script|args)$/),
  )) {
    // GitHub's `defaults.run`, which says how scripts are run.
    if (isObject(value)) expect(value).toEqual({ shell: 'bash' });
    else if ('script' in holder) {
      expect(String(value)).toMatch(/^#!\/usr\/bin\/env -S bash -eo pipefail\n/);
    } else if ('args' in holder) {
      expect(holder.command).toEqual(['bash', '-eo', 'pipefail', '-c']);
    }
  }
  // GitHub's own `shell: bash` is `bash -eo pipefail`; without it, scripts in a container run with `sh -e`.
  if (name === 'github-actions.yml') {
    expect(documentsOf(name)[0]).toMatchObject({ defaults: { run: { shell: 'bash' } } });
  }
});

/** Runs a step of the Tekton task as its controller does, with a stand-in for our program that prints its arguments. */
async function tektonStep(name: string, folder: string, program: string, given: Json) {
  const [task] = documentsOf('tekton-task.yaml');
  const { steps, stepTemplate } = (task as { spec: { steps: Json[]; stepTemplate: Json } }).spec;
  const step = steps.find((one) => one.name === name);
  await mkdir(join(folder, 'bin'), { recursive: true });
  const [bin, script] = [join(folder, 'bin/iso-rehydrate'), join(folder, 'script')];
  await writeFile(bin, `#!/bin/sh\n${program}\n`, { mode: 0o755 });
  await writeFile(script, String(step?.script), { mode: 0o755 });
  const variables = (stepTemplate.env as { name: string; value: string }[]).map((one) => [
    one.name,
    one.value.replace(/\$\(([\w.]+)\)/g, (_, key: string) => String(given[key])),
  ]);
  return execa(script, {
    env: { ...Object.fromEntries(variables), PATH: `${folder}/bin:${process.env.PATH}` },
    ...{ cwd: folder, reject: false, extendEnv: false },
  });
}

test('Tekton: if the push fails, the step fails and there is no result', async () => {
  await using folder = await temporaryFolder();
  const result = join(folder.path, 'result');
  const given = { 'params.reference': 'r', 'results.digest.path': result };
  const failed = await tektonStep('push', folder.path, 'echo half; exit 7', given);
  expect(failed.exitCode).toBe(7);
  await expect(readFile(result)).rejects.toThrow('ENOENT');
  const pushed = await tektonStep('push', folder.path, 'echo name@sha256:1', given);
  expect(pushed.exitCode).toBe(0);
  expect(await readFile(result, 'utf8')).toBe('name@sha256:1');
});

test.each(['estimate', 'dehydrate', 'push'])(
  'Tekton: no parameter of %s is run by a shell',
  async (name) => {
    await using folder = await temporaryFolder();
    const evil = '"; touch pwned; $(touch pwned) `touch pwned`';
    const given = {
      ...{ 'params.stream': evil, 'params.arch': evil, 'params.engine': evil },
      ...{ 'params.reference': evil, 'results.digest.path': join(folder.path, 'result') },
    };
    const said = 'for word; do echo "<$word>" >>words; done; echo done';
    const { exitCode, stderr } = await tektonStep(name, folder.path, said, given);
    expect(exitCode, stderr).toBe(0);
    expect(await readdir(folder.path)).not.toContain('pwned');
    expect(await readFile(join(folder.path, 'words'), 'utf8')).toContain(`<${evil}>`);
  },
);

test('every image and action is pinned', () => {
  const pins: string[] = [];
  for (const name of YAML) {
    for (const { value } of documentsOf(name).flatMap((one) => found(one, /^image$/))) {
      if (value === '$(params.image)') continue; // its default is checked below
      expect(value, name).toMatch(/^[a-z0-9.-]+\/[a-z0-9/-]+@sha256:[0-9a-f]{64}$/);
      pins.push(String(value));
    }
    for (const { value } of documentsOf(name).flatMap((one) => found(one, /^uses$/))) {
      expect(value, name).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40}$/);
      pins.push(String(value));
    }
  }
  const [task] = documentsOf('tekton-task.yaml');
  const parameters = found(task, /^params$/).flatMap(({ value }) => value as Json[]);
  const image = parameters.find(({ name }) => name === 'image');
  expect(image?.default).toMatch(/@sha256:[0-9a-f]{64}$/);
  expect(pins.length).toBeGreaterThan(7);
  expect(readExample('Containerfile')).toMatch(/^ARG BASE=\S+@sha256:[0-9a-f]{64}$/m);
});

test('the container has only the rights that it needs, and can write its output', () => {
  for (const name of ['kubernetes-audit.yaml', 'kubernetes-report.yaml']) {
    const jobs = documentsOf(name).filter(({ kind }) => kind === 'Job');
    // Two in one file would start at once, and one of them needs the output of the other.
    expect(jobs).toHaveLength(1);
    const [pod] = found(jobs, /^template$/).map(({ value }) => (value as { spec: Json }).spec);
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000 },
    });
    for (const container of found(pod, /^containers$/).flatMap(({ value }) => value as Json[])) {
      expect(container).toMatchObject({
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        resources: { requests: {}, limits: {} },
      });
      const paths = (container.volumeMounts as Json[]).map(({ mountPath }) => mountPath);
      expect(paths).toContain('/tmp');
    }
  }
  const [task] = documentsOf('tekton-task.yaml');
  expect(task).toMatchObject({
    spec: {
      stepTemplate: { securityContext: { runAsNonRoot: true, allowPrivilegeEscalation: false } },
    },
  });
  const [run] = documentsOf('tekton-run.yaml');
  expect(run).toMatchObject({ spec: { podTemplate: { securityContext: { fsGroup: 1000 } } } });
  const [workflow] = documentsOf('github-actions.yml');
  expect(workflow).toMatchObject({ permissions: {} });
  const jobs = Object.values(workflow?.jobs as Json) as Json[];
  expect(jobs).toHaveLength(3);
  for (const job of jobs) {
    // The image's own user cannot write to the workspace, which belongs to the runner.
    expect(job).toMatchObject({
      container: { options: '--user 1001' },
      'timeout-minutes': expect.any(Number),
    });
  }
});

test('the Tekton run passes the parameters of the task', () => {
  const [task] = documentsOf('tekton-task.yaml');
  const [run] = documentsOf('tekton-run.yaml');
  const { params, workspaces } = (task as { spec: Record<string, Json[]> }).spec;
  const given = (run as { spec: Record<string, Json[]> }).spec;
  const names = (list: Json[] | undefined) => (list ?? []).map(({ name }) => name);
  expect(names(params)).toEqual(expect.arrayContaining(names(given.params)));
  expect(names(given.workspaces)).toEqual(names(workspaces));
  const required = (params ?? []).filter((one) => !('default' in one));
  expect(names(given.params)).toEqual(expect.arrayContaining(names(required)));
});

test.each(examples(/^Containerfile/))('%s: instructions and shell', async (name) => {
  const lines = readExample(name)
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n');
  const known = /^(FROM|RUN|COPY|ARG|ENV|VOLUME|USER|ENTRYPOINT|CMD) \S/;
  for (const line of lines.filter((text) => text.trim() !== '')) expect(line).toMatch(known);
  for (const line of lines.filter((text) => text.startsWith('RUN '))) {
    await execa('sh', ['-n'], { input: line.slice(4) });
  }
});
