import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli } from '../../../test/support/cli.ts';
import { fileServer } from '../../../test/support/file-server.ts';
import { pushImages } from '../../../test/support/machine-os-images.ts';
import { type RegistryServer, registryServer } from '../../../test/support/registry-server.ts';
import { temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import {
  type SyntheticRelease,
  writeSyntheticRelease,
} from '../../../test/support/synthetic-release.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let registry: RegistryServer;
let release: SyntheticRelease;
const at = (...names: string[]) => join(folder.path, ...names);

beforeAll(async () => {
  folder = await temporaryFolder();
  registry = await registryServer(at('registry'));
  release = await writeSyntheticRelease(at('release'));
  const text = await readFile(release.streamPath, 'utf8');
  // As the release's own site has it.
  const located = text.replace(
    /"https:\/\/[^"]*\/([^"/]+)"/g,
    '"https://example.com/prod/builds/1/$1"',
  );
  await writeFile(release.streamPath, located);
}, 120_000);
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const dehydrate = (stream: string, artifacts: string, target: string) =>
  cli(
    [
      ...['dehydrate', '--stream', stream, '--artifacts', artifacts, '-o', at(target)],
      ...['--cache-dir', at('cache')],
    ],
    { createEngine: () => release.engine },
  );

test('the stream of an image, a URL, or a file, and a folder in the layout of locations, give the same bundle', async () => {
  const first = await dehydrate(release.streamPath, release.folder, 'flat');
  expect(first.code, first.stderr).toBe(0);

  const reference = `${registry.host}/openshift/machine-os-images:1`;
  const files = { 'coreos/coreos-stream.json': release.streamPath };
  await pushImages(folder.path, reference, [{ architecture: 'amd64', files, compression: 'gzip' }]);
  const fromImage = await dehydrate(`docker://${reference}`, release.folder, 'image');
  expect(fromImage.code, fromImage.stderr).toBe(0);
  await execa('diff', ['-r', at('flat'), at('image')]);

  const bytes = await readFile(release.streamPath);
  await using server = await fileServer(new Map([['stream.json', bytes]]));
  const site = at('site', 'builds/1');
  await mkdir(site, { recursive: true });
  for (const name of await readdir(release.folder))
    await rename(at('release', name), join(site, name));
  const fromSite = await dehydrate(`${server.url}/stream.json`, at('site'), 'laid-out');
  expect(fromSite.code, fromSite.stderr).toBe(0);
  await execa('diff', ['-r', at('flat'), at('laid-out')]);
});

test('estimate takes the same names; a source without a stream is an error', async () => {
  const reference = `${registry.host}/openshift/none:1`;
  const files = { 'coreos/README': '/etc/hostname' };
  await pushImages(folder.path, reference, [{ architecture: 'amd64', files, compression: 'zstd' }]);
  const none = await cli(['estimate', '--stream', `docker://${reference}`]);
  expect(none).toMatchObject({ code: 5, stderr: expect.stringContaining('STREAM_ABSENT') });
  const url = await cli(['estimate', '--stream', 'http://127.0.0.1:1/stable.json']);
  expect(url).toMatchObject({ code: 7, stderr: expect.stringContaining('DOWNLOAD') });
  // A channel has its known URL, which cannot be reached through this proxy.
  const env = { https_proxy: 'http://127.0.0.1:1' };
  const channel = await cli(['estimate', '--stream', 'testing'], { env });
  expect(channel.code).toBe(7);
  expect(channel.stderr).toContain('builds.coreos.fedoraproject.org/streams/testing.json');
});
