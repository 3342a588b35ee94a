import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { parseDocument } from 'yaml';

/** What a release of iso-rehydrate itself does, as far as it can be run here. */
const ROOT = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

interface Step {
  readonly run?: string;
  readonly uses?: string;
}
interface Workflow {
  readonly permissions: object;
  readonly jobs: Record<string, { needs?: string[]; permissions: object; steps: Step[] }>;
}

describe('the release workflow', () => {
  const document = parseDocument(read('.github/workflows/release.yml'));
  const workflow = document.toJS() as Workflow;
  const steps = Object.values(workflow.jobs).flatMap((job) => job.steps);

  test('is valid YAML, its scripts parse, and nothing is substituted into them', async () => {
    expect(document.errors).toEqual([]);
    for (const { run } of steps) {
      if (run === undefined) continue;
      await execa('bash', ['-n'], { input: run });
      expect(run).not.toContain('${{');
    }
  });

  test('pins every action by its commit', () => {
    const used = steps.flatMap(({ uses }) => uses ?? []);
    expect(used.length).toBeGreaterThan(0);
    for (const one of used) expect(one).toMatch(/@[0-9a-f]{40}$/);
  });

  test('publishes only what was tested and whose modules were built again', () => {
    expect(workflow.permissions).toEqual({});
    expect(workflow.jobs.publish?.needs).toEqual(['test', 'wasm']);
    const script = workflow.jobs.publish?.steps.map(({ run }) => run ?? '').join('\n');
    expect(script).toContain('npm publish --provenance');
    expect(script).toContain('node scripts/sbom.ts');
    const wasm = workflow.jobs.wasm?.steps.map(({ run }) => run ?? '').join('\n');
    expect(wasm).toContain('scripts/wasm/check.sh');
  });
});

describe('the list of what the package contains', async () => {
  const { stdout } = await execa('node', ['scripts/sbom.ts'], { cwd: ROOT });
  const { bomFormat, components } = JSON.parse(stdout) as {
    bomFormat: string;
    components: {
      purl: string;
      hashes?: { content: string }[];
      properties: { value?: string }[];
    }[];
  };
  const purls = components.map(({ purl }) => decodeURIComponent(purl));

  test('has every npm package that is installed with it', () => {
    expect(bomFormat).toBe('CycloneDX');
    const installed = JSON.parse(read('npm-shrinkwrap.json')) as {
      packages: Record<string, { version: string; dev?: boolean }>;
    };
    const wanted = Object.entries(installed.packages)
      // TypeScript is not installed with it; the types of valibot may be checked with it.
      .filter(([path, { dev }]) => path !== '' && !dev && !path.includes('/typescript'))
      .filter(([path]) => !path.includes('/@typescript/'))
      .map(([path, { version }]) => `pkg:npm/${path.split('node_modules/').at(-1)}@${version}`);
    expect(wanted.length).toBeGreaterThan(5);
    expect(purls.filter((one) => one.startsWith('pkg:npm/')).sort()).toEqual(wanted.sort());
  });

  test('has every source of the WebAssembly modules, crates with the hash that the build checks', () => {
    const scripts = new Set(components.flatMap(({ properties }) => properties.map((p) => p.value)));
    for (const part of ['sources', 'xz', 'squashfs', 'go']) {
      expect(scripts).toContain(`scripts/wasm/${part}.sh`);
    }
    const crates = components.filter(({ purl }) => purl.startsWith('pkg:cargo/'));
    for (const { hashes } of crates) expect(hashes?.[0]?.content).toMatch(/^[0-9a-f]{64}$/);
    expect(purls).toEqual(expect.arrayContaining(['pkg:cargo/liblzma-sys@0.4.9']));
  });
});
