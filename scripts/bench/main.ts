/**
 * `npm run bench`: measures dehydrating and rehydrating the fixture, next to `cp` + `sha256sum` of the
 * same files and to the deltas of other tools. Writes only to a scratch folder.
 *
 *     npm run bench -- [--fixture DIR] [--arch A,B|all] [--engine qemu|native]
 *                      [--skip-peers] [--peer-timeout SECONDS] [--coreos-installer FILE]
 *                      [--native-only | --vm-only | --bundle-only]
 *     npm run bench -- --files-only [--fixture DIR] [--arch A,B|all] [--container DIR]
 *     npm run bench -- --released-only [--file IMAGE]
 *     npm run bench -- --matrix [--arch A,B|all] [--bundle DIR --cache-dir DIR]
 */
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import * as v from 'valibot';
import { ARCHITECTURES, type Arch, parseArch } from '../../src/core/arch.ts';
import { Architecture, bundleTable } from './bundle.ts';
import { filesTables } from './files.ts';
import { matrix } from './matrix.ts';
import { type Measured, measure, shell } from './measure.ts';
import { nativeTable } from './native.ts';
import { PEERS, runPeer } from './peers.ts';
import { releasedTable } from './released.ts';
import { bytes, mebibytes, seconds, table } from './table.ts';
import { vmTable } from './vm.ts';

const { values: options } = parseArgs({
  options: {
    fixture: {
      type: 'string',
      default: process.env.ISO_REHYDRATE_FIXTURE ?? '.work/fixture/x86_64',
    },
    arch: { type: 'string', default: 'x86_64' },
    engine: { type: 'string', default: 'qemu' },
    'skip-peers': { type: 'boolean', default: false },
    'native-only': { type: 'boolean', default: false },
    'vm-only': { type: 'boolean', default: false },
    /** Only the size of the bundle; boots nothing. */
    'bundle-only': { type: 'boolean', default: false },
    /** Only the base `files`, beside the osmet and a container. */
    'files-only': { type: 'boolean', default: false },
    /** For `--files-only`: an OCI layout of the same system, with gzip layers. */
    container: { type: 'string' },
    /** Only the table of the compressors of released files. */
    'released-only': { type: 'boolean', default: false },
    /** For `--released-only`: what to compress, instead of the fixture's qemu image. */
    file: { type: 'string' },
    /** Only the table of the time that each artifact takes. */
    matrix: { type: 'boolean', default: false },
    /** For `--matrix`: an existing bundle of the fixture, and its cache. */
    bundle: { type: 'string' },
    'cache-dir': { type: 'string' },
    /** To compare the native engine with; needs root. */
    'coreos-installer': { type: 'string' },
    'peer-timeout': { type: 'string', default: '300' },
    'scratch-parent': { type: 'string', default: tmpdir() },
  },
});

const Artifact = v.object({
  ...Architecture.entries.artifacts.item.entries,
  name: v.string(),
  size: v.number(),
  sha256: v.string(),
  recipe: v.variant('kind', [
    v.object({ kind: v.literal('iso') }),
    v.object({ kind: v.literal('base'), base: v.string() }),
    v.object({ kind: v.literal('delta'), base: v.string() }),
    v.object({ kind: v.literal('container'), base: v.string() }),
  ]),
});
const Bundle = v.object({
  architectures: v.tuple([
    v.object({
      ...Architecture.entries,
      artifacts: v.array(Artifact),
      engine: v.object({
        detail: v.string(),
        seconds: v.record(v.string(), v.number()),
        guestCpu: v.optional(
          v.record(v.string(), v.object({ user: v.number(), system: v.number() })),
        ),
      }),
    }),
  ]),
});
type Artifact = v.InferOutput<typeof Artifact>;

const cli = [process.execPath, resolve('dist/src/cli/bin.js')];
const say = (text = '') => console.log(text);
const scratch = await mkdtemp(join(options['scratch-parent'], 'iso-rehydrate-bench-'));
try {
  const wanted = options.arch === 'all' ? ARCHITECTURES : options.arch.split(',').map(parseArch);
  if (options['vm-only']) {
    const isos = await Promise.all(wanted.map(async (arch) => [arch, await isoOf(arch)] as const));
    say(await vmTable(new Map(isos), scratch));
  } else if (options['bundle-only']) {
    say(await wholeBundle(wanted));
  } else if (options['files-only']) {
    const { container } = options;
    for (const arch of wanted) {
      const work = join(scratch, arch);
      const fixture = resolve(options.fixture);
      const iso = resolve(await isoOf(arch));
      say(`${await filesTables(arch, { cli, fixture, iso, work, container })}\n`);
    }
  } else if (options['released-only']) {
    say(await releasedTable(options.file ?? (await qemuImage()), scratch));
  } else if (options.matrix) {
    const cache = options['cache-dir'] ?? join(scratch, 'cache');
    const bundle = options.bundle ?? (await nativeBundle(wanted));
    say(await matrix(wanted, { cli, bundle, cache, work: scratch }));
  } else {
    const made = [];
    for (const arch of wanted)
      made.push(await bench(arch, await mkdtemp(join(scratch, `${arch}-`))));
    if (!options['native-only']) say(`# Bundles\n\n${bundleTable(made.flat())}`);
  }
} finally {
  await rm(scratch, { recursive: true, force: true });
}

/** The fixture's file whose name ends so. */
async function fixtureFile(ending: string): Promise<string> {
  const names = await readdir(options.fixture);
  const name = names.find((one) => one.endsWith(ending));
  if (name === undefined) throw new Error(`the fixture has no ${ending}`);
  return join(options.fixture, name);
}

function isoOf(arch: Arch): Promise<string> {
  return fixtureFile(`live-iso.${arch}.iso`);
}

/** The fixture's qemu image, unpacked into the scratch folder. */
async function qemuImage(): Promise<string> {
  const image = join(scratch, 'qemu.qcow2');
  await measure(shell('xz -dc "$1" >"$2"', await fixtureFile('qemu.x86_64.qcow2.xz'), image));
  return image;
}

/** Makes one bundle of all architectures; returns the table of its sizes. */
async function wholeBundle(arches: readonly Arch[]): Promise<string> {
  const made = await measure(dehydrate(arches, scratch, 'native'));
  const { architectures } = v.parse(
    v.object({ architectures: v.array(Architecture) }),
    JSON.parse(made.stdout),
  );
  const how = `dehydrate, all in: ${seconds(made.seconds)}, peak RSS ${mebibytes(made.peakRss)}`;
  return `${bundleTable(architectures)}\n\n${how}`;
}

function dehydrate(arches: readonly Arch[], work: string, engine: string): string[] {
  return [
    ...[...cli, 'dehydrate', '--stream', join(options.fixture, 'stream.json')],
    ...['--artifacts', options.fixture, '--arch', arches.join(','), '--engine', engine],
    ...['--cache-dir', join(work, 'cache'), '--output', join(work, 'bundle'), '--json'],
  ];
}

/** Makes one bundle of all architectures; returns its path. */
async function nativeBundle(arches: readonly Arch[]): Promise<string> {
  await measure(dehydrate(arches, scratch, 'native'));
  return join(scratch, 'bundle');
}

async function bench(arch: Arch, work: string): Promise<readonly Architecture[]> {
  const bundle = join(work, 'bundle');
  const cache = join(work, 'cache');
  const out = join(work, 'out');

  say(`# ${arch}\n\n## Without a VM\n`);
  say(`${await nativeTable(await isoOf(arch), work, options['coreos-installer'])}\n`);
  if (options['native-only']) return [];

  const made = await measure(dehydrate([arch], work, options.engine));
  const { architectures } = v.parse(Bundle, JSON.parse(made.stdout));
  const [{ artifacts, engine }] = architectures;

  say(`## Engine (${engine.detail})\n`);
  const phases = Object.entries(engine.seconds);
  say(
    table(
      phases.map(([phase]) => phase),
      [phases.map(([, value]) => seconds(value))],
    ),
  );
  // No setting of the VM goes below the installer's own processor time (xz, SHA-256).
  for (const [disk, { user, system }] of Object.entries(engine.guestCpu ?? {})) {
    say(
      `\nunpack of ${disk}, processor time in the guest: ${seconds(user)} installer, ${seconds(system)} kernel`,
    );
  }
  say(`\ndehydrate, all in: ${seconds(made.seconds)}, peak RSS ${mebibytes(made.peakRss)}\n`);
  say('## Rehydrate one artifact, base in the cache (patch and SHA-256 in one pass)\n');
  const rows: string[][] = [];
  for (const artifact of artifacts) rows.push(await row(artifact));
  say(
    table(
      [
        'artifact',
        'size',
        'delta',
        'whole command',
        'patch + verify',
        'cp',
        'sha256sum',
        'ratio',
        'peak RSS',
      ],
      rows,
    ),
  );
  say('\nratio: patch + verify over `cp --sparse=always` + `sha256sum` of the same file.\n');

  if (!options['skip-peers']) await peers();
  await rm(work, { recursive: true });
  return architectures;

  async function row(artifact: Artifact): Promise<string[]> {
    const { label, name, size, deltaSize } = artifact;
    const done = await rehydrate(label);
    const result = v.parse(v.object({ seconds: v.number() }), JSON.parse(done.stdout));
    const file = join(out, name);
    const copy = join(out, 'copy');
    const copied = await measure(shell('cp --sparse=always "$1" "$2"', file, copy));
    const summed = await measure(shell('sha256sum "$1"', copy));
    if (!summed.stdout.startsWith(artifact.sha256)) throw new Error(`${label}: wrong SHA-256`);
    await rm(out, { recursive: true });
    const ratio = result.seconds / (copied.seconds + summed.seconds);
    return [
      label,
      bytes(size),
      bytes(deltaSize),
      seconds(done.seconds),
      seconds(result.seconds),
      seconds(copied.seconds),
      seconds(summed.seconds),
      ratio.toFixed(2),
      mebibytes(done.peakRss),
    ];
  }

  function rehydrate(label: string): Promise<Measured> {
    return measure([
      ...cli,
      '--bundle',
      bundle,
      '--arch',
      arch,
      '--platform',
      label,
      '--cache-dir',
      cache,
      '--output',
      `${out}/`,
      '--quiet',
      '--json',
    ]); // prettier-ignore
  }

  async function peers(): Promise<void> {
    say('## Size of the delta, and the time it takes to make it\n');
    const names = Object.keys(PEERS);
    const lines: string[][] = [];
    const sums = new Map<string, number>();
    const add = (name: string, size: number) => sums.set(name, (sums.get(name) ?? 0) + size);
    await rehydrate('metal/raw');
    for (const artifact of artifacts) {
      const { recipe, deltaSize } = artifact;
      if (recipe.kind === 'iso' || deltaSize === 0) continue;
      await rehydrate(artifact.label);
      const base = await baseFile(recipe.base);
      const target = join(out, artifact.name);
      const bare = await encode(base, target, '--no-hashes');
      const whole = await encode(base, target);
      const times = `${seconds(bare.seconds)}; with SHA-256 ${seconds(whole.seconds)}`;
      const cells = [artifact.label, `${bytes(deltaSize)} (${times})`];
      add('iso-rehydrate', deltaSize);
      for (const name of names) {
        const timeout = Number(options['peer-timeout']) * 1000;
        const result = await runPeer(PEERS[name] ?? '', base, target, work, timeout);
        cells.push(
          'failed' in result ? result.failed : `${bytes(result.size)} (${seconds(result.seconds)})`,
        );
        add(name, 'failed' in result ? Number.NaN : result.size);
      }
      lines.push(cells);
      await rm(join(out, artifact.name));
    }
    const total = ['iso-rehydrate', ...names].map((name) => {
      const sum = sums.get(name) ?? 0;
      return Number.isNaN(sum) ? 'not all' : bytes(sum);
    });
    say(table(['artifact', 'iso-rehydrate', ...names], [...lines, ['sum', ...total]]));
  }

  /** The same work as the peers', by a process of its own. */
  async function encode(base: string, target: string, ...more: string[]): Promise<Measured> {
    const script = new URL('encode.ts', import.meta.url).pathname;
    const bundle = join(work, 'encoded');
    const made = await measure([process.execPath, script, base, target, bundle, ...more]);
    await rm(bundle, { recursive: true, force: true });
    return made;
  }

  async function baseFile(base: string): Promise<string> {
    const label = base === 'iso' ? 'metal/iso' : base === 'metal4k' ? 'metal/4k.raw' : 'metal/raw';
    const found = artifacts.find((a) => a.label.startsWith(label));
    if (!found) throw new Error(`no artifact for base ${base}`);
    const path = join(out, found.name);
    if (!(await stat(path).catch(() => undefined))) await rehydrate(found.label);
    return path;
  }
}
