import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Fate, flakyProxy } from '../../test/support/flaky-proxy.ts';
import { type RegistryServer, registryServer } from '../../test/support/registry-server.ts';
import { noise, sha256Of, temporaryFolder } from '../../test/support/synthetic-bundle.ts';
import type { BlobRef } from '../core/io/digest.ts';
import { openRegistry } from './client.ts';
import { parseReference } from './reference.ts';
import { contentOfBytes, contentOfFile } from './upload.ts';

const KIB = 1024;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let server: RegistryServer;
beforeAll(async () => {
  folder = await temporaryFolder();
  server = await registryServer(join(folder.path, 'registry'));
}, 300_000);
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

let count = 0;
async function file(size: number): Promise<{ blob: BlobRef; path: string; bytes: Buffer }> {
  const bytes = noise(size, `upload ${count++}`);
  const path = join(folder.path, `blob-${count}`);
  await writeFile(path, bytes);
  return { blob: { sha256: sha256Of(bytes), size }, path, bytes };
}

/** Uploads 1 MiB through a proxy with that behaviour, in chunks of 128 KiB once it breaks. */
async function upload(fate: (method: string, length: number) => Fate) {
  const { blob, path, bytes } = await file(1024 * KIB);
  await using proxy = await flakyProxy(server.host, fate);
  const options = { upload: { chunk: 128 * KIB, pause: 1 } };
  const registry = openRegistry(parseReference(`${proxy.host}/coreos/flaky:1`), options);
  const done: number[] = [];
  await registry.pushBlob(blob, contentOfFile(path), (at) => done.push(at));
  expect(done.at(-1)).toBe(blob.size);
  expect(await registry.smallBlob(blob)).toEqual(bytes);
  return proxy.seen;
}

/** Lets the first request of a kind fail, as the test says. */
function once(fate: Fate, isIt: (method: string, length: number) => boolean) {
  let spent = false;
  return (method: string, length: number): Fate => {
    if (spent || !isIt(method, length)) return 'pass';
    spent = true;
    return fate;
  };
}

test('in one piece, if nothing is in the way', async () => {
  expect(await upload(() => 'pass')).toEqual(['POST 0', `PUT ${1024 * KIB}`]);
});

test('a connection that breaks: continues in chunks, and sends no delivered chunk again', async () => {
  const cut = { cutAfter: 300 * KIB };
  const seen = await upload(once(cut, (method) => method === 'PUT'));
  expect(seen.slice(0, 3)).toEqual(['POST 0', `PUT ${1024 * KIB}`, 'POST 0']);
  expect(seen.slice(3)).toEqual([...Array(8).fill(`PATCH ${128 * KIB}`), 'PUT 0']);
});

test('a proxy that sometimes fails: the upload continues at the registry’s offset', async () => {
  let patches = 0;
  const seen = await upload((method) => {
    if (method === 'PUT' && patches === 0) return { status: 502 };
    // One in three fails before it reaches the registry.
    return method === 'PATCH' && ++patches % 3 === 0 ? { status: 503 } : 'pass';
  });
  const sent = seen
    .filter((line) => line.startsWith('PATCH'))
    .reduce((sum, line) => sum + Number(line.slice(6)), 0);
  // Only what was refused was sent twice, and there was only one upload.
  expect(sent).toBeLessThanOrEqual((1024 + 3 * 128) * KIB);
  expect(seen.filter((line) => line === 'POST 0')).toHaveLength(1);
});

test('a chunk cut in the middle: the registry drops the upload, and it starts again', async () => {
  const broken = once({ status: 500 }, (method) => method === 'PUT');
  const cut = once({ cutAfter: 50 * KIB }, (method, length) => method === 'PATCH' && length > 0);
  let patches = 0;
  const seen = await upload((method, length) => {
    if (method === 'PATCH') patches++;
    return patches === 4 ? cut(method, length) : broken(method, length);
  });
  expect(seen.filter((line) => line === 'POST 0').length).toBeLessThanOrEqual(3);
});

test('a proxy with a limit: pieces get smaller until they pass', async () => {
  const limit = (_method: string, length: number): Fate =>
    length > 128 * KIB ? { status: 413 } : 'pass';
  const seen = await upload(limit);
  expect(seen).toContain(`PATCH ${128 * KIB}`);
  // GitHub's says 416.
  expect(await upload((...is) => (limit(...is) === 'pass' ? 'pass' : { status: 416 }))).toContain(
    `PATCH ${128 * KIB}`,
  );
  await expect(
    upload((method, length) => (method !== 'POST' && length > 0 ? { status: 413 } : 'pass')),
  ).rejects.toMatchObject({ code: 'REGISTRY', context: { status: 413 } });
});

test('an answer that is lost: the registry has the blob, which does not go again', async () => {
  const seen = await upload(once({ answerLost: 504 }, (method) => method === 'PUT'));
  expect(seen).toEqual(['POST 0', `PUT ${1024 * KIB}`]);
});

test('gives up after some tries; refused uploads are not tried again', async () => {
  const { blob, path } = await file(64 * KIB);
  await using proxy = await flakyProxy(server.host, (method) =>
    method === 'PUT' ? { status: 503 } : 'pass',
  );
  const registry = openRegistry(parseReference(`${proxy.host}/coreos/flaky:2`), {
    upload: { pause: 1 },
  });
  await expect(registry.pushBlob(blob, contentOfFile(path))).rejects.toMatchObject({
    code: 'REGISTRY',
    context: { status: 503 },
  });
  expect(proxy.seen.filter((line) => line.startsWith('PUT'))).toHaveLength(4);
  // Other bytes than the digest says.
  const other = contentOfBytes(noise(64 * KIB, 'other'));
  await using open = await flakyProxy(server.host, () => 'pass');
  const checking = openRegistry(parseReference(`${open.host}/coreos/flaky:3`));
  await expect(checking.pushBlob(blob, other)).rejects.toMatchObject({ context: { status: 400 } });
  expect(open.seen).toHaveLength(2);
  // A missing file is not blamed on the registry.
  const gone = contentOfFile(join(folder.path, 'gone'));
  await expect(checking.pushBlob(blob, gone)).rejects.toMatchObject({ code: 'NOT_FOUND' });
});
