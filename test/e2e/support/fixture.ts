import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as v from 'valibot';

/** The release that `npm run fixture` built; `scripts/test.sh` builds it before the tests run. */
export function fixtureDir(): string {
  return resolve(process.env.ISO_REHYDRATE_FIXTURE ?? '.work/fixture/x86_64');
}

const File = v.object({
  location: v.string(),
  sha256: v.string(),
  'uncompressed-sha256': v.optional(v.string()),
});
const Stream = v.object({
  architectures: v.record(
    v.string(),
    v.object({
      artifacts: v.record(
        v.string(),
        v.object({ formats: v.record(v.string(), v.record(v.string(), File)) }),
      ),
    }),
  ),
});

export interface Promised {
  readonly platform: string;
  readonly format: string;
  readonly file: string;
  /** Released file in the fixture folder. */
  readonly released: string;
  /** Name and SHA-256 of the uncompressed file. */
  readonly name: string;
  readonly sha256: string;
}

/** What the fixture's stream promises, read without the code under test. */
export function promised(arch = 'x86_64'): Promised[] {
  const stream = v.parse(
    Stream,
    JSON.parse(readFileSync(join(fixtureDir(), 'stream.json'), 'utf8')),
  );
  return Object.entries(stream.architectures[arch]?.artifacts ?? {}).flatMap(
    ([platform, { formats }]) =>
      Object.entries(formats).flatMap(([format, files]) =>
        Object.entries(files).map(([file, entry]) => {
          const base = entry.location.split('/').at(-1) ?? '';
          return {
            platform,
            format,
            file,
            released: join(fixtureDir(), base),
            name: base.replace(/\.(xz|gz|zst)$/, ''),
            sha256: entry['uncompressed-sha256'] ?? entry.sha256,
          };
        }),
      ),
  );
}

/** The one artifact of a platform and format, e.g. `qemu`, `qcow2.xz`. */
export function pick(platform: string, format: string, file = 'disk'): Promised {
  const found = promised().find(
    (p) => p.platform === platform && p.format === format && p.file === file,
  );
  if (!found) throw new Error(`the fixture has no ${platform}/${format}/${file}`);
  return found;
}
