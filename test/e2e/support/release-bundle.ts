import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import * as v from 'valibot';
import { type CliResult, cli } from './cli.ts';
import { exclusively } from './exclusively.ts';
import { fixtureDir } from './fixture.ts';

export interface ReleaseBundle {
  readonly bundle: string;
  /** Holds the metal disks that dehydrate regenerated. */
  readonly cache: string;
  /** How `dehydrate` ended and what it printed. */
  readonly result: CliResult;
}

/** Lets a later dehydrate use the disks that this one has left in the cache. */
export const RESTING = ['--engine', 'native'] as const;

/** Everything that the result of `dehydrate` depends on: the built program and the release. */
function fingerprint(): string {
  const hash = createHash('sha256');
  const dist = resolve('dist');
  for (const name of readdirSync(dist, { recursive: true }).map(String).sort()) {
    const path = join(dist, name);
    if (statSync(path).isFile()) hash.update(name).update(readFileSync(path));
  }
  hash.update(readFileSync(join(fixtureDir(), 'stream.json')));
  return hash.digest('hex').slice(0, 16);
}

/**
 * The whole fixture with all architectures in one bundle, made by the native engine: main-job.test.ts boots one
 * ISO when it dehydrates, architectures.test.ts the others when it rehydrates.
 */
export function dehydrateArgs(target: string, cache: string): string[] {
  return [
    'dehydrate',
    ...['--stream', join(fixtureDir(), 'stream.json'), '--artifacts', fixtureDir()],
    ...['--arch', 'all', ...RESTING, '--cache-dir', cache, '-o', target, '--quiet'],
  ];
}

/**
 * The fixture's bundle. The first test file that asks makes it for all of them, and again whenever the program
 * or the fixture changes.
 */
export async function releaseBundle(): Promise<ReleaseBundle> {
  const parent = resolve('.work/e2e');
  // Kept when the program changes; empty on a clean checkout.
  const cache = resolve('.work/e2e-cache');
  const home = join(parent, fingerprint());
  const result = await exclusively(resolve('.work/e2e.lock'), async (): Promise<CliResult> => {
    const log = join(home, 'result.json');
    const found = await readFile(log, 'utf8').catch(() => undefined);
    if (found !== undefined) return JSON.parse(found);
    await rm(parent, { recursive: true, force: true });
    const fresh = `${home}.new`;
    await mkdir(fresh, { recursive: true });
    const made = await cli(dehydrateArgs(join(fresh, 'bundle'), cache));
    if (made.exitCode !== 0) throw new Error(`dehydrate failed:\n${made.stderr}`);
    await writeFile(join(fresh, 'result.json'), JSON.stringify(made));
    await rename(fresh, home);
    return made;
  });
  return { bundle: join(home, 'bundle'), cache, result };
}

const Blob = v.object({ sha256: v.string(), size: v.number() });
const Artifact = v.object({
  platform: v.string(),
  format: v.string(),
  file: v.string(),
  name: v.string(),
  sha256: v.string(),
  recipe: v.object({
    kind: v.string(),
    base: v.optional(v.picklist(['iso', 'metal', 'metal4k'])),
    delta: v.optional(Blob),
    /** For a container: the payload, and the layers around it. */
    payload: v.optional(v.object({ size: v.number(), sha256: v.optional(v.string()) })),
    layers: v.optional(v.array(v.object({ codec: v.string(), recipe: Blob }))),
  }),
});
const Inspection = v.object({
  bundle: v.object({
    architectures: v.array(
      v.object({ architecture: v.string(), iso: Blob, artifacts: v.array(Artifact) }),
    ),
  }),
});

export type Listed = v.InferOutput<typeof Artifact>;

/** One architecture in the output of `inspect --json`. */
export async function inspected(bundle: string, arch = 'x86_64') {
  const { stdout } = await cli(['inspect', bundle, '--json']);
  const { architectures } = v.parse(Inspection, JSON.parse(stdout)).bundle;
  const found = architectures.find(({ architecture }) => architecture === arch);
  if (!found) throw new Error(`the bundle has no ${arch}`);
  return found;
}
