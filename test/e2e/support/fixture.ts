import { readFileSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import * as v from 'valibot';

/** The release that `npm run fixture` built; `scripts/test.sh` builds it before the tests run. */
export function fixtureDir(): string {
  const arches = process.env.ISO_REHYDRATE_ARCHES ?? 'x86_64';
  return resolve(process.env.ISO_REHYDRATE_FIXTURE ?? `.work/fixture/${arches}`);
}

const File = v.object({
  location: v.string(),
  signature: v.optional(v.string()),
  sha256: v.string(),
  'uncompressed-sha256': v.optional(v.string()),
});
const Platform = v.object({
  release: v.string(),
  formats: v.record(v.string(), v.record(v.string(), File)),
});
const Stream = v.object({
  stream: v.string(),
  architectures: v.record(v.string(), v.object({ artifacts: v.record(v.string(), Platform) })),
});

/** The fixture's stream JSON, read without the code under test. */
export function fixtureStream() {
  return v.parse(Stream, JSON.parse(readFileSync(join(fixtureDir(), 'stream.json'), 'utf8')));
}

export function fixtureArches(): string[] {
  return Object.keys(fixtureStream().architectures).sort();
}

/** The architecture whose ISO release-jobs.test.ts boots for an audit; other files boot the others. */
export function auditedArch(): string {
  const arches = fixtureArches();
  return arches.find((arch) => arch === 's390x') ?? arches[0] ?? 'x86_64';
}

export interface Promised {
  readonly arch: string;
  readonly platform: string;
  readonly format: string;
  readonly file: string;
  /** Released file in the fixture folder. */
  readonly released: string;
  /** Name and SHA-256 of the uncompressed file. */
  readonly name: string;
  readonly sha256: string;
}

/** The fixture's stream, for an architecture. */
export function promised(arch = 'x86_64'): Promised[] {
  return Object.entries(fixtureStream().architectures[arch]?.artifacts ?? {}).flatMap(
    ([platform, { formats }]) =>
      Object.entries(formats).flatMap(([format, files]) =>
        Object.entries(files).map(([file, entry]) => {
          const base = entry.location.split('/').at(-1) ?? '';
          return {
            arch,
            platform,
            format,
            file,
            released: join(fixtureDir(), base),
            // gcp's tar.gz is itself the target, because the stream attests nothing else of it.
            name: entry['uncompressed-sha256'] ? base.replace(/\.(xz|gz|zst|zip)$/, '') : base,
            sha256: entry['uncompressed-sha256'] ?? entry.sha256,
          };
        }),
      ),
  );
}

/** The one artifact of a platform and format, e.g. `qemu`, `qcow2.xz`. */
export function pick(platform: string, format: string, file = 'disk', arch = 'x86_64'): Promised {
  const found = promised(arch).find(
    (p) => p.platform === platform && p.format === format && p.file === file,
  );
  if (!found) throw new Error(`the fixture has no ${platform}/${format}/${file} of ${arch}`);
  return found;
}

/**
 * A release with a part of one architecture of the fixture, as links to its files: `metal` (without its
 * disks, which are regenerated anyway) and some other platforms. Dehydrating it takes a fraction of the
 * time. Returns the arguments that name it.
 */
export async function partialRelease(
  folder: string,
  platforms: readonly string[],
  arch = 'x86_64',
  /** Whether the stream names signatures, which the caller has to make. */
  { signed = false }: { readonly signed?: boolean } = {},
): Promise<string[]> {
  const { stream: name, architectures } = fixtureStream();
  const all = Object.entries(architectures[arch]?.artifacts ?? {});
  const artifacts = Object.fromEntries(
    all.filter(([platform]) => platform === 'metal' || platforms.includes(platform)),
  );
  await mkdir(folder, { recursive: true });
  for (const { platform, format, released } of promised(arch)) {
    if (!(platform in artifacts) || format.endsWith('raw.xz')) continue;
    await symlink(released, join(folder, basename(released)));
  }
  const path = join(folder, 'stream.json');
  const text = JSON.stringify(
    { stream: name, architectures: { [arch]: { artifacts } } },
    (key, value: unknown) => (key === 'signature' && !signed ? undefined : value),
  );
  await writeFile(path, text);
  return ['--stream', path, '--artifacts', folder];
}
