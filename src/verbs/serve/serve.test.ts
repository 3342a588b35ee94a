import { readdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { noEngine } from '../../../test/support/cli.ts';
import {
  type SyntheticBundle,
  sha256Of,
  temporaryFolder,
  writeSyntheticBundle,
} from '../../../test/support/synthetic-bundle.ts';
import { openBundle } from '../../bundle/read.ts';
import type { ProgressEvent } from '../../core/progress/progress.ts';
import { openMetalCache } from '../../engine/cache/metal-cache.ts';
import type { RequestLine } from './access-log.ts';
import { catalogueOf, pathOf, rewriteStream } from './catalogue.ts';
import { parseListen } from './listen.ts';
import { parseRange } from './range.ts';
import { serve } from './serve.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let synthetic: SyntheticBundle;
beforeAll(async () => {
  folder = await temporaryFolder();
  synthetic = await writeSyntheticBundle(folder.path);
}, 300_000);
afterAll(() => folder[Symbol.asyncDispose]());

async function start(images: string, more: { reserve?: number; maxBytes?: number } = {}) {
  const controller = new AbortController();
  const events: ProgressEvent[] = [];
  const requests: RequestLine[] = [];
  const { url, ended } = await serve({
    bundle: await openBundle(synthetic.path),
    engine: noEngine,
    cache: await openMetalCache({ dir: join(folder.path, 'cache'), maxBytes: 1e9 }),
    folder: join(folder.path, images),
    maxBytes: more.maxBytes ?? 1e9,
    reserve: more.reserve ?? 0,
    listen: { host: '127.0.0.1', port: 0 },
    signal: controller.signal,
    progress: (event) => void events.push(event),
    onRequest: (line) => void requests.push(line),
  });
  return {
    url,
    requests,
    made: () => events.filter(({ type }) => type === 'done').length,
    images: join(folder.path, images),
    async [Symbol.asyncDispose]() {
      controller.abort();
      await ended;
    },
  };
}

const target = (name: string) => synthetic.targets.get(name) ?? Buffer.alloc(0);
const body = async (response: Response) => Buffer.from(await response.arrayBuffer());

test('a file is made once, however many ask for it at a time, and kept', async () => {
  await using server = await start('once');
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => fetch(`${server.url}/live-initramfs`)),
  );
  for (const answer of answers) {
    expect(answer.status).toBe(200);
    expect(await body(answer)).toEqual(target('pxe/initramfs'));
  }
  expect(server.made()).toBe(1);
  await fetch(`${server.url}/live-initramfs?sha256=x`).then(body);
  expect(server.made()).toBe(1);
  expect(await readdir(server.images)).toEqual([sha256Of(target('pxe/initramfs'))]);
  expect(server.requests.at(-1)).toMatchObject({ status: 200, method: 'GET' });
});

test('ranges, HEAD and conditional requests', async () => {
  await using server = await start('ranges');
  const url = `${server.url}/live-kernel`;
  const bytes = target('pxe/kernel');
  const head = await fetch(url, { method: 'HEAD' });
  expect(head.headers.get('content-length')).toBe(String(bytes.length));
  expect(server.made()).toBe(0); // a HEAD makes nothing
  const get = (headers: Record<string, string>) => fetch(url, { headers });
  const part = await get({ range: 'bytes=100-199' });
  expect(part.status).toBe(206);
  expect(part.headers.get('content-range')).toBe(`bytes 100-199/${bytes.length}`);
  expect(await body(part)).toEqual(bytes.subarray(100, 200));
  expect(await body(await get({ range: 'bytes=-5' }))).toEqual(bytes.subarray(-5));
  const beyond = await get({ range: `bytes=${bytes.length}-` });
  expect(beyond.status).toBe(416);
  expect(beyond.headers.get('content-range')).toBe(`bytes */${bytes.length}`);
  const etag = part.headers.get('etag') ?? '';
  expect(etag).toBe(`"${sha256Of(bytes)}"`);
  expect((await get({ 'if-none-match': etag })).status).toBe(304);
  expect((await get({ range: 'bytes=0-0', 'if-range': '"other"' })).status).toBe(200);
  expect((await fetch(url, { method: 'POST' })).status).toBe(405);
});

/** As a client that does not tidy up paths, which fetch does. */
function rawGet(url: string, path: string): Promise<{ status: number; text: string }> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const asked = request({ hostname, port, path }, (response) => {
      let text = '';
      response.setEncoding('latin1').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    asked.on('error', reject).end();
  });
}

test('no request leads to another file', async () => {
  await using server = await start('traversal');
  await writeFile(join(folder.path, 'secret'), 'secret');
  for (const path of [
    ...['/../secret', '/..%2fsecret', '/%2e%2e/secret', '/./live-kernel/../../secret', '//secret'],
    ...['/%00', '/%ff', '/%', '/x/', '/live-kernel/', '/live-kernel%2f', `/${'a/../'.repeat(99)}`],
    ...['/traversal', '/cache', '/bundle/index.json', `/${'x'.repeat(5000)}`, '/constructor'],
  ]) {
    const { status, text } = await rawGet(server.url, path);
    expect(status, path).toBe(404);
    expect(text).not.toContain('secret');
  }
  expect(await readdir(server.images)).toEqual([]);
});

test('while the disk is short: 503, when to come back, and nothing is left', async () => {
  await using server = await start('short', { reserve: Number.MAX_SAFE_INTEGER / 2 });
  const answer = await fetch(`${server.url}/live-kernel`);
  expect(answer.status).toBe(503);
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(answer.headers.get('etag')).toBeNull();
  expect(await readdir(server.images)).toEqual([]);
  expect((await fetch(`${server.url}/stream.json`)).status).toBe(200);
});

test('the least recently requested images are removed first', async () => {
  await using server = await start('room', { maxBytes: 250_000 });
  for (const name of ['live-kernel', 'live-initramfs', 'live.iso']) {
    expect((await fetch(`${server.url}/${name}`).then(body)).length).toBeGreaterThan(0);
  }
  expect(await readdir(server.images)).toEqual([sha256Of(synthetic.iso)]);
});

test('an image that cannot be made is a 500, and the next request tries again', async () => {
  await using server = await start('fails');
  for (let i = 0; i < 2; i++) {
    const answer = await fetch(`${server.url}/qemu.qcow2`); // needs a boot
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain(folder.path);
  }
  expect(server.requests.filter(({ error }) => error !== undefined)).toHaveLength(2);
  expect((await fetch(`${server.url}/live-kernel`)).status).toBe(200);
});

test('the server ends with its signal, even while a client reads', async () => {
  const server = await start('ends');
  const answer = await fetch(`${server.url}/live.iso`);
  await server[Symbol.asyncDispose]();
  await answer.body?.cancel().catch(() => {});
  await expect(fetch(server.url)).rejects.toThrow();
  for (const name of await readdir(server.images)) {
    expect(sha256Of(await readFile(join(server.images, name)))).toBe(name);
  }
});

test('the stream points to this server: locations and digests of served files only', async () => {
  const bundle = await openBundle(synthetic.path);
  const [recipes] = bundle.recipes;
  if (recipes === undefined) throw new Error('no recipes');
  const of = (platform: string, format: string, role: string) => {
    const found = recipes.artifacts.find(
      (one) => one.platform === platform && one.format === format && one.file === role,
    );
    if (found === undefined) throw new Error(`no ${platform}`);
    return found;
  };
  const qemu = of('qemu', 'qcow2.xz', 'disk');
  const kernel = of('metal', 'pxe', 'kernel');
  const file = (sha256: string, more: object = {}) => ({
    location: 'https://example.com/builds/1/x',
    sha256,
    ...more,
  });
  const signed = { signature: 'https://example.com/x.sig' };
  const original = {
    stream: 'test',
    metadata: { 'last-modified': 'x' },
    architectures: {
      x86_64: {
        images: { aws: {} },
        artifacts: {
          qemu: {
            release: '42.1',
            formats: {
              'qcow2.xz': {
                disk: file(qemu.released.sha256, { ...signed, 'uncompressed-sha256': 'y' }),
              },
            },
          },
          metal: {
            release: '42.1',
            formats: { pxe: { kernel: file(kernel.released.sha256, signed) } },
          },
          aws: { release: '42.1', formats: { 'vmdk.xz': { disk: file('0'.repeat(64)) } } },
        },
      },
    },
  };
  const before = structuredClone(original);
  expect(rewriteStream(original, bundle, 'http://here')).toEqual({
    ...original,
    architectures: {
      x86_64: {
        images: { aws: {} },
        artifacts: {
          qemu: {
            release: '42.1',
            formats: {
              'qcow2.xz': {
                disk: {
                  location: 'http://here/qemu.qcow2',
                  sha256: qemu.sha256,
                  'uncompressed-sha256': qemu.sha256,
                  ...signed,
                },
              },
            },
          },
          metal: {
            release: '42.1',
            formats: {
              pxe: {
                kernel: { location: 'http://here/live-kernel', sha256: kernel.sha256, ...signed },
              },
            },
          },
        },
      },
    },
  });
  expect(original).toEqual(before);
  expect([...catalogueOf(bundle).files.keys()]).toContain('/live.iso');
  const at = (location: string) => pathOf({ ...qemu, released: { ...qemu.released, location } });
  expect(at('https://h/prod/streams/b/1/x86_64/q.qcow2.xz')).toBe(
    '/prod/streams/b/1/x86_64/qemu.qcow2',
  );
  for (const odd of ['https://h/%2e%2e/a', 'https://h/a%2f..%2f/b', '../../x', 'https://h/<x>/y']) {
    expect(at(odd), odd).not.toMatch(/\.\.|</);
  }
});

test('ranges are within the file for every header', () => {
  expect(parseRange('bytes=0-', 10)).toEqual({ start: 0, end: 10 });
  expect(parseRange('bytes=3-4', 10)).toEqual({ start: 3, end: 5 });
  expect(parseRange('bytes=3-99', 10)).toEqual({ start: 3, end: 10 });
  expect(parseRange('bytes=-99', 10)).toEqual({ start: 0, end: 10 });
  expect(parseRange('bytes=-0', 10)).toBe('unsatisfiable');
  expect(parseRange('bytes=0-', 0)).toBe('unsatisfiable');
  for (const whole of [undefined, '', 'bytes=-', 'bytes=1-2,3-4', 'items=1-2', 'bytes=5-3']) {
    expect(parseRange(whole, 10), whole).toBeUndefined();
  }
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'0123456789-=,bytes ') }), (text) => {
      const range = parseRange(`bytes=${text}`, 1000);
      if (typeof range !== 'object') return;
      expect(range.start).toBeGreaterThanOrEqual(0);
      expect(range.end).toBeGreaterThan(range.start);
      expect(range.end).toBeLessThanOrEqual(1000);
    }),
  );
});

test('addresses to listen on', () => {
  expect(parseListen('8080')).toEqual({ host: '127.0.0.1', port: 8080 });
  expect(parseListen('0.0.0.0:80')).toEqual({ host: '0.0.0.0', port: 80 });
  expect(parseListen('[::1]:0')).toEqual({ host: '::1', port: 0 });
  for (const bad of ['', 'x', ':80', 'a:b', '1:99999', '::1:80']) {
    expect(() => parseListen(bad), bad).toThrow(
      expect.objectContaining({ code: 'LISTEN_ADDRESS' }),
    );
  }
});
