import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
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
import type { MetalEngine } from '../../engine/engine.ts';
import { commonLog } from './access-log.ts';
import { inheritedSocket } from './listen.ts';
import { createMetrics } from './metrics.ts';
import { type ServeOptions, serve } from './serve.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let synthetic: SyntheticBundle;
beforeAll(async () => {
  folder = await temporaryFolder();
  synthetic = await writeSyntheticBundle(folder.path);
}, 300_000);
afterAll(() => folder[Symbol.asyncDispose]());

async function start(images: string, more: Partial<ServeOptions> = {}) {
  const controller = new AbortController();
  const events: ProgressEvent[] = [];
  const serving = await serve({
    bundle: await openBundle(synthetic.path),
    engine: noEngine,
    cache: await openMetalCache({ dir: join(folder.path, 'cache'), maxBytes: 1e9 }),
    folder: join(folder.path, images),
    maxBytes: 1e9,
    reserve: 0,
    listen: { host: '127.0.0.1', port: 0 },
    signal: controller.signal,
    progress: (event) => void events.push(event),
    ...more,
  });
  return {
    ...serving,
    events,
    get: async (path: string, headers: Record<string, string> = {}) => {
      const response = await fetch(`${serving.url}${path}`, { headers });
      return { response, text: await response.text() };
    },
    async [Symbol.asyncDispose]() {
      controller.abort();
      await serving.ended;
    },
  };
}

const kernel = () => synthetic.targets.get('pxe/kernel') ?? Buffer.alloc(0);

test('the index page: names, digests, state and how to point programs here; nothing runs in it', async () => {
  await using server = await start('page');
  const { response, text } = await server.get('/');
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(text).toContain(sha256Of(kernel()));
  expect(text).toMatch(/live-kernel[\s\S]*not made/);
  expect(text).toContain(`--stream-base-url ${server.url}/streams/`);
  expect(text).not.toContain('<script');
  await server.get('/live-kernel');
  expect((await server.get('/')).text).toMatch(/class="state kept">kept/);
});

test('the page shows the Host header, but no markup from it', async () => {
  await using server = await start('host');
  for (const host of ['mirror.example.com:8080', '[::1]:80']) {
    const { text } = await server.get('/', { host });
    expect(text).not.toMatch(/<[^>]*onerror/);
  }
});

test('health and metrics', async () => {
  await using server = await start('metrics');
  expect((await server.get('/healthz')).text).toBe('ok\n');
  await server.get('/live-kernel');
  await server.get('/none');
  await server.get('/qemu.qcow2'); // needs a boot, which fails
  const { response, text } = await server.get('/metrics');
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(text).toContain('iso_rehydrate_requests_total{code="404"} 1\n');
  expect(text).toContain('iso_rehydrate_images_total{result="made"} 1\n');
  expect(text).toContain('iso_rehydrate_images_total{result="failed"} 1\n');
  expect(text).toContain(`iso_rehydrate_kept_bytes ${kernel().length}\n`);
  for (const line of text.trim().split('\n')) {
    expect(line).toMatch(/^(# (HELP|TYPE) \w+ \S.*|\w+(\{\w+="\w+"\})? [\d.e+]+)$/);
  }
  expect(createMetrics(0).render({ files: 0, kept: 0, making: 0, keptBytes: 0 })).toContain(' 0\n');
});

/** An engine that makes nothing until it is told to fail. */
function slowEngine() {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {});
  const engine: MetalEngine = { name: 'qemu', regenerate: () => promise };
  return { engine, end: () => reject(new Error('enough')) };
}

test('--wait: a request for a file that is being made, with or without a range, is answered with 503', async () => {
  const { engine, end } = slowEngine();
  await using server = await start('wait', { engine, wait: 0 });
  for (const headers of [{}, { range: 'bytes=5-9' }] as Record<string, string>[]) {
    const { response, text } = await server.get('/qemu.qcow2', headers);
    expect(response.status).toBe(503);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(response.headers.get('etag')).toBeNull();
    expect(text).toContain('is being made');
  }
  expect((await server.get('/')).text).toContain('class="state making"');
  expect((await server.get('/metrics')).text).toContain('iso_rehydrate_files_making 1\n');
  end();
});

test('--prepare makes files in advance; failures are reported, and unknown names are refused', async () => {
  await using server = await start('prepared', { prepare: ['metal/pxe', 'qemu'] });
  await server.prepared;
  expect((await server.get('/metrics')).text).toContain('iso_rehydrate_files_kept 2\n');
  const failed = server.events.filter(({ type }) => type === 'failed');
  expect(JSON.stringify(failed)).toContain('not prepared');
  await expect(start('refused', { prepare: ['azur'] })).rejects.toMatchObject({ code: 'PREPARE' });
});

test('a socket that systemd has opened', async () => {
  expect(inheritedSocket({}, 1)).toBeUndefined();
  expect(inheritedSocket({ LISTEN_FDS: '1', LISTEN_PID: '2' }, 1)).toBeUndefined();
  expect(inheritedSocket({ LISTEN_FDS: '1', LISTEN_PID: '1' }, 1)).toEqual({ fd: 3 });
  const several = () => inheritedSocket({ LISTEN_FDS: '2', LISTEN_PID: '1' }, 1);
  expect(several).toThrow(expect.objectContaining({ code: 'LISTEN_SOCKETS' }));
  const held = createServer();
  await new Promise<void>((resolve) => held.listen(0, '127.0.0.1', resolve));
  const { port } = held.address() as AddressInfo;
  const { fd } = (held as unknown as { _handle: { fd: number } })._handle;
  // The process that is passed the socket is the one whose number is told, as systemd does it.
  const script = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"';
  const argv = [process.execPath, 'src/cli/bin.ts', 'serve', '-b', synthetic.path, '--no-cache'];
  const images = ['--images', join(folder.path, 'socket')];
  const child = spawn('bash', ['-c', script, 'bash', ...argv, ...images], {
    stdio: ['ignore', 'pipe', 'inherit', fd],
  });
  const said = await new Promise((resolve) => child.stdout?.once('data', resolve));
  expect(String(said)).toContain(`http://127.0.0.1:${port}/stream.json`);
  held.close();
  expect(await (await fetch(`http://127.0.0.1:${port}/healthz`)).text()).toBe('ok\n');
  child.kill('SIGTERM');
  await once(child, 'exit');
}, 120_000);

test('a line of the log, in the common format', () => {
  const line = { method: 'GET', path: '/a%20b', status: 206, bytes: 5, seconds: 1, client: '::1' };
  const time = Date.UTC(2026, 0, 2, 3, 4, 5);
  expect(commonLog({ ...line, time, http: '1.0' })).toBe(
    '::1 - - [02/Jan/2026:03:04:05 +0000] "GET /a%20b HTTP/1.0" 206 5',
  );
  expect(commonLog({ ...line, bytes: 0, client: undefined, time })).toMatch(/^- - - .* 206 -$/);
});
