/**
 * `node scripts/sbom.ts`: what the package contains, as CycloneDX: its npm packages, as npm lists them from the
 * shrinkwrap, and the sources of the WebAssembly modules, which npm does not know.
 *
 * The modules' sources are read from the scripts in scripts/wasm that build them and that check the hashes.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import * as v from 'valibot';

const ROOT = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

const Sbom = v.looseObject({
  bomFormat: v.literal('CycloneDX'),
  metadata: v.looseObject({ component: v.looseObject({ name: v.string(), version: v.string() }) }),
  dependencies: v.array(v.object({ ref: v.string(), dependsOn: v.array(v.string()) })),
  components: v.array(v.looseObject({ 'bom-ref': v.string() })),
});

interface Source {
  readonly type: 'cargo' | 'golang';
  readonly name: string;
  readonly version: string;
  readonly sha256?: string;
  readonly script: string;
}

/** `fetch CRATE VERSION SHA256` in a script. */
function fetched(script: string): Source[] {
  const lines = read(script).matchAll(/^fetch (\S+) (\S+) ([0-9a-f]{64})$/gm);
  return [...lines].map(([, name = '', version = '', sha256 = '']) => ({
    ...({ type: 'cargo', name, version, sha256, script } as const),
  }));
}

/** The crates of a Cargo.lock. */
function locked(path: string, script: string): Source[] {
  const entry = /^name = "(.+)"\nversion = "(.+)"\nchecksum = "([0-9a-f]{64})"$/gm;
  return [...read(path).matchAll(entry)].map(([, name = '', version = '', sha256 = '']) => ({
    ...({ type: 'cargo', name, version, sha256, script } as const),
  }));
}

/** The releases of klauspost/compress that go.sh builds, and Go itself. */
function golang(script: string): Source[] {
  const text = read(script);
  const releases = /^for release in (.+); do$/m.exec(text)?.[1]?.split(' ') ?? [];
  const go = /This is not Go (\S+)"/i.exec(text)?.[1];
  if (releases.length === 0 || go === undefined) throw new Error(`${script} names no release`);
  const modules = releases.map((one) => ['github.com/klauspost/compress', `v${one}`] as const);
  return [...modules, ['std', go] as const].map(([name, version]) => ({
    ...({ type: 'golang', name, version, script } as const),
  }));
}

const SOURCES: readonly Source[] = [
  ...fetched('scripts/wasm/sources.sh'),
  ...fetched('scripts/wasm/xz.sh'),
  ...locked('scripts/wasm/squashfs/crates.lock', 'scripts/wasm/squashfs.sh'),
  ...golang('scripts/wasm/go.sh'),
];

function component({ type, name, version, sha256, script }: Source) {
  const purl = `pkg:${type}/${name}@${version}`;
  return {
    'bom-ref': purl,
    type: 'library',
    name,
    version,
    scope: 'required',
    purl,
    ...(sha256 === undefined ? {} : { hashes: [{ alg: 'SHA-256', content: sha256 }] }),
    properties: [{ name: 'iso-rehydrate:webassembly-built-by', value: script }],
  };
}

const Package = v.object({
  version: v.string(),
  dependencies: v.optional(v.record(v.string(), v.string()), {}),
  optionalDependencies: v.optional(v.record(v.string(), v.string()), {}),
});
const Shrinkwrap = v.object({ packages: v.record(v.string(), Package) });

/**
 * What an install of the package brings, as `NAME@VERSION`. (`npm sbom --omit dev` would leave out packages whose
 * optional peer is a package for development, as valibot's is.)
 */
function installed(): Set<string> {
  const { packages } = v.parse(Shrinkwrap, JSON.parse(read('npm-shrinkwrap.json')));
  const seen = new Set<string>();
  const visit = (path: string) => {
    const found = packages[path];
    if (found === undefined || seen.has(path)) return;
    seen.add(path);
    for (const name of Object.keys({ ...found.dependencies, ...found.optionalDependencies })) {
      const own = `${path}/node_modules/${name}`;
      visit(own in packages ? own : `node_modules/${name}`);
    }
  };
  visit('');
  seen.delete('');
  const named = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 13);
  return new Set([...seen].map((path) => `${named(path)}@${packages[path]?.version}`));
}

const { stdout } = await execa(
  'npm',
  ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'],
  { cwd: ROOT },
);
const sbom = v.parse(Sbom, JSON.parse(stdout));
// npm calls the package by the name of the folder that it lies in.
sbom.metadata.component.name = 'iso-rehydrate';
const wanted = installed();
sbom.components = sbom.components.filter((one) => wanted.has(one['bom-ref']));
const listed = new Set(sbom.components.map((one) => one['bom-ref']));
const missing = [...wanted].filter((one) => !listed.has(one));
if (missing.length > 0) throw new Error(`npm sbom leaves out ${missing.join(', ')}`);
const kept = new Set([...wanted, `iso-rehydrate@${sbom.metadata.component.version}`]);
sbom.dependencies = sbom.dependencies
  .filter(({ ref }) => kept.has(ref))
  .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => kept.has(one)) }));
sbom.components.push(...SOURCES.map(component));
console.log(JSON.stringify(sbom, undefined, 2));
