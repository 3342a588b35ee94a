import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli } from './support/cli.ts';
import { partialRelease, pick, promised } from './support/fixture.ts';
import { createSigner, installer, type Signer, trustingGpg } from './support/installer.ts';

/**
 * A part of the fixture, signed as releases are, through the built command line: what `rehydrate --released` and
 * `serve` give is judged by cmp, by gpgv with the signatures that the bundle carries, and by the real coreos-installer.
 */
const PLATFORMS = ['aws', 'digitalocean', 'hyperv'];
let folder: string;
let signer: Signer;
let url: string;
let stop: () => Promise<void>;
const at = (name: string) => join(folder, name);
/** The released files: compressed by xz, gzip and zip; the ISO and the files for PXE as they are. */
const files = () =>
  promised().filter(({ platform, format }) =>
    platform === 'metal' ? !format.endsWith('raw.xz') : PLATFORMS.includes(platform),
  );
const released = () => files().map((one) => basename(one.released));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'iso-rehydrate-signed-'));
  signer = await createSigner(folder);
  const release = await partialRelease(at('release'), PLATFORMS, 'x86_64', { signed: true });
  for (const name of released()) await signer.sign(join(at('release'), name));
  await signer.end();
  const made = await cli([
    ...['dehydrate', ...release, '--released', 'gz,zip,xz'],
    ...['--engine', 'native', '--cache-dir', at('cache'), '-o', at('bundle'), '--quiet'],
  ]);
  expect(made.exitCode, made.stderr).toBe(0);

  const args = ['serve', '-b', at('bundle'), '--listen', '0', '--images', at('images'), '--json'];
  const trust = ['--keyring', signer.keyring, '--engine', 'native', '--cache-dir', at('cache')];
  const server = execa(process.execPath, ['dist/src/cli/bin.js', ...args, ...trust], {
    reject: false,
  });
  const { promise, resolve } = Promise.withResolvers<string>();
  server.stdout.once('data', (line: Buffer) => resolve(JSON.parse(line.toString()).url));
  stop = async () => {
    server.kill('SIGTERM');
    await server;
  };
  url = await promise;
}, 900_000);
afterAll(async () => {
  await stop?.();
  await rm(folder, { recursive: true, force: true });
});

test('rehydrate --released --keyring: each file is the released one, and gpgv accepts its signature', async () => {
  await mkdir(at('made'));
  const made = await cli([
    ...['-b', at('bundle'), '-p', `metal/iso,metal/pxe,${PLATFORMS}`, '--released'],
    ...['--keyring', signer.keyring],
    ...['--engine', 'native', '--cache-dir', at('cache'), '-o', `${at('made')}/`, '--quiet'],
  ]);
  expect(made.exitCode, made.stderr).toBe(0);
  expect((await readdir(at('made'))).sort()).toEqual(expect.arrayContaining(released().sort()));
  for (const name of released()) {
    await execa('cmp', [join(at('release'), name), join(at('made'), name)]);
  }
});

test('serve: every location and signature of the stream gives the released file, as gpgv finds it', async () => {
  const { stdout } = await execa('curl', ['-sf', `${url}/stream.json`]);
  const { metal, ...others } = JSON.parse(stdout).architectures.x86_64.artifacts;
  const entries = [
    ...Object.values(metal.formats.iso),
    ...Object.values(metal.formats.pxe),
    ...Object.values<{ formats: object }>(others).flatMap(({ formats }) =>
      Object.values(formats).flatMap((roles) => Object.values(roles)),
    ),
  ] as { location: string; signature: string }[];
  expect(entries.map(({ location }) => basename(location)).sort()).toEqual(released().sort());
  for (const { location, signature } of entries) {
    const file = at('fetched');
    await execa('curl', ['-sf', '-o', file, location]);
    await execa('curl', ['-sf', '-o', `${file}.sig`, signature]);
    await execa('gpgv', ['--keyring', signer.keyring, `${file}.sig`, file]);
    await execa('cmp', [join(at('release'), basename(location)), file]);
  }
});

test.each([
  ['metal', 'iso'],
  ['metal', 'pxe'],
  ['aws', 'vmdk.xz'],
  ['digitalocean', 'qcow2.gz'],
])('coreos-installer download of %s %s, without --insecure', async (platform, format) => {
  const target = at(`got-${format}`);
  await mkdir(target);
  const bin = await trustingGpg(folder, signer.keyring);
  const where = ['--stream-base-url', `${url}/streams/`, '-s', 'stable', '-a', 'x86_64'];
  const { exitCode, stderr } = await execa(
    installer(),
    ['download', ...where, '-p', platform, '-f', format, '-C', target],
    { reject: false, env: { PATH: `${bin}:${process.env.PATH}` } },
  );
  expect(exitCode, stderr).toBe(0);
  const names = format === 'pxe' ? ['kernel', 'initramfs', 'rootfs'] : ['disk'];
  for (const role of names) {
    const name = basename(pick(platform, format, role).released);
    await execa('cmp', [join(at('release'), name), join(target, name)]);
    const signature = await readFile(join(target, `${name}.sig`));
    expect(signature.equals(await readFile(join(at('release'), `${name}.sig`)))).toBe(true);
  }
  const good = stderr.split('Good signature from "release"').length - 1;
  expect(good).toBe(names.length);
});
