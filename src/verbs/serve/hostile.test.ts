import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { cli, noEngine } from '../../../test/support/cli.ts';
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
import { type ConnectionLimits, limitConnections } from './connections.ts';
import { isHost, parsePublicUrl, targetForLog } from './request.ts';
import { finish, sendBytes } from './send.ts';
import { serve } from './serve.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let synthetic: SyntheticBundle;
beforeAll(async () => {
  folder = await temporaryFolder();
  synthetic = await writeSyntheticBundle(folder.path);
}, 300_000);
afterAll(() => folder[Symbol.asyncDispose]());

async function start(images: string, connections?: ConnectionLimits) {
  const controller = new AbortController();
  const events: ProgressEvent[] = [];
  const requests: RequestLine[] = [];
  const { url, ended } = await serve({
    bundle: await openBundle(synthetic.path),
    engine: noEngine,
    cache: await openMetalCache({ dir: join(folder.path, 'cache'), maxBytes: 1e9 }),
    folder: join(folder.path, images),
    maxBytes: 1e9,
    reserve: 0,
    listen: { host: '127.0.0.1', port: 0 },
    connections,
    signal: controller.signal,
    progress: (event) => void events.push(event),
    onRequest: (line) => void requests.push(line),
  });
  return {
    url,
    requests,
    made: () => events.filter(({ type }) => type === 'done').length,
    notes: () => events.flatMap((event) => (event.type === 'note' ? [event.message] : [])),
    async [Symbol.asyncDispose]() {
      controller.abort();
      await ended;
    },
  };
}

const kernel = () => synthetic.targets.get('pxe/kernel') ?? Buffer.alloc(0);
const get = async (url: string) => Buffer.from(await (await fetch(url)).arrayBuffer());

/** Sends text as it is; resolves to the head of the answer. */
async function raw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let answer = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    answer += chunk;
  });
  socket.end(text);
  await once(socket, 'close');
  return answer.split('\r\n\r\n', 1)[0] ?? '';
}

describe('kept images', () => {
  const flip = async (path: string) => {
    const before = await stat(path);
    const bytes = await readFile(path);
    bytes[1000] = (bytes[1000] ?? 0) ^ 1;
    await writeFile(path, bytes);
    await utimes(path, before.atime, before.mtime); // as rot and tidy attackers leave them
  };

  test('one that was changed is made again, while the server runs and after a restart', async () => {
    const path = join(folder.path, 'flipped', sha256Of(kernel()));
    {
      await using server = await start('flipped');
      const url = `${server.url}/live-kernel`;
      expect(await get(url)).toEqual(kernel());
      await flip(path);
      expect(await get(url)).toEqual(kernel());
      expect(server.made()).toBe(2);
      expect(await get(url)).toEqual(kernel());
      expect(server.made()).toBe(2);
    }
    await flip(path);
    await using server = await start('flipped');
    expect(await get(`${server.url}/live-kernel`)).toEqual(kernel());
    expect(server.made()).toBe(1);
    expect(server.notes()).toContainEqual(expect.stringContaining('damaged'));
  });

  test('one that is right is kept over a restart', async () => {
    {
      await using server = await start('kept');
      await get(`${server.url}/live-kernel`);
    }
    await using server = await start('kept');
    const answers = await Promise.all([1, 2, 3].map(() => get(`${server.url}/live-kernel`)));
    expect(answers).toEqual([kernel(), kernel(), kernel()]);
    expect(server.made()).toBe(0);
  });

  test.each(['link', 'folder', 'pipe', 'short'])(
    'a %s in its place does not count',
    async (kind) => {
      const images = join(folder.path, `odd-${kind}`);
      const path = join(images, sha256Of(kernel()));
      await mkdir(images);
      const victim = join(folder.path, `victim-${kind}`);
      await writeFile(victim, kernel());
      if (kind === 'link') await symlink(victim, path);
      else if (kind === 'folder') await mkdir(path);
      else if (kind === 'pipe') await execa('mkfifo', [path]);
      else await writeFile(path, kernel().subarray(1));
      await using server = await start(`odd-${kind}`);
      expect(await get(`${server.url}/live-kernel`)).toEqual(kernel());
      expect(await readFile(victim)).toEqual(kernel());
      expect((await stat(path)).isFile()).toBe(true);
      expect(await readdir(images)).toEqual([sha256Of(kernel())]);
    },
  );

  test('a folder that cannot be made is an error at once', async () => {
    await writeFile(join(folder.path, 'file'), '');
    for (const images of ['/proc/x', '/proc/x/y', join(folder.path, 'file')]) {
      const argv = ['serve', '-b', synthetic.path, '--listen', '127.0.0.1:0', '--images', images];
      const signal = AbortSignal.timeout(60_000);
      expect(await cli([...argv, '--no-cache'], { signal }), images).toMatchObject({ code: 7 });
      expect(signal.aborted).toBe(false);
    }
  });
});

describe('requests', () => {
  test('the log has one line for each request, with the bytes that were sent', async () => {
    await using server = await start('log');
    const path = `/x%0d%0a200%20GET%20/live-kernel`;
    await raw(server.url, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    await raw(server.url, 'GET /"\x1b[2J\u00e9 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await fetch(`${server.url}/live-kernel`, { method: 'HEAD' });
    await get(`${server.url}/live-kernel`);
    const lines = server.requests;
    await vi.waitFor(() => {
      expect(lines.at(-1)).toMatchObject({ status: 200, bytes: kernel().length });
    });
    for (const { path: logged } of lines) expect(logged).toMatch(/^[\x21-\x7e]*$/);
    expect(lines[0]?.path).toBe(path);
    expect(lines.find(({ method }) => method === 'HEAD')).toMatchObject({ status: 200, bytes: 0 });
    expect(targetForLog({ url: `/\n"\\\u00ff ${'x'.repeat(9999)}` })).toMatch(
      /^\/\\x0a\\x22\\x5c\\xff\\x20x+\.\.\.$/,
    );
  });

  test('requests that are malformed, too long or without a valid Host', async () => {
    await using server = await start('malformed');
    const ask = (line: string, ...headers: string[]) =>
      raw(server.url, `${[line, ...headers, 'Connection: close'].join('\r\n')}\r\n\r\n`);
    const long = 'x'.repeat(9000);
    expect(await ask(`GET /${long} HTTP/1.1`, 'Host: a')).toMatch(/^HTTP\/1.1 414 /);
    expect(await ask('GET / HTTP/1.1', 'Host: a', `x: ${long}${long}`)).toMatch(/^HTTP\/1.1 431 /);
    expect(await ask('GET / HTTP/1.1')).toMatch(/^HTTP\/1.1 400 /);
    expect(await ask('nonsense')).toMatch(/^HTTP\/1.1 400 /);
    for (const host of ['a/b', 'a b', 'a"', 'evil@a', 'a:99999', 'a:b', '[::1', '<x>', '']) {
      expect(await ask('GET /stream.json HTTP/1.1', `Host: ${host}`), host).toMatch(/ 400 /);
    }
    expect(await ask('GET /stream.json HTTP/1.0')).toMatch(/ 200 /);
    expect(await ask('GET /stream.json HTTP/1.1', 'Host: [::1]:80')).toMatch(/ 200 /);
    const absolute = await ask('GET http://a/stream.json HTTP/1.1', 'Host: a');
    expect(absolute).toMatch(/ 200 [\s\S]*vary: Host/i);
    expect(await ask('POST / HTTP/1.1', 'Host: a', 'Content-Length: 99999')).toMatch(/ 405 /);
    for (const host of ['a', 'mirror.example.com:8080', '127.0.0.1', '[fe80::1]:1']) {
      expect(isHost(host), host).toBe(true);
    }
  });

  test('caches may keep only permanent answers', async () => {
    await using server = await start('caches');
    const url = `${server.url}/live-kernel`;
    const ask = (headers: Record<string, string>, method = 'GET') =>
      fetch(url, { headers, method });
    const beyond = await ask({ range: `bytes=${kernel().length}-` });
    expect(beyond.status).toBe(416);
    expect(beyond.headers.get('cache-control')).toBe('no-store');
    const head = await ask({ range: 'bytes=0-9' }, 'HEAD');
    expect(head.status).toBe(200);
    expect(head.headers.get('content-length')).toBe(String(kernel().length));
    const several = await ask({ range: 'bytes=0-1,5-6' });
    expect([200, 206]).toContain(several.status);
    expect(Buffer.from(await several.arrayBuffer())).toEqual(kernel());
    const etag = `"${sha256Of(kernel())}"`;
    for (const known of [etag, `"x", ${etag}`, `W/${etag}`, '*']) {
      expect((await ask({ 'if-none-match': known })).status, known).toBe(304);
    }
    for (const known of ['"x"', `"x${etag.slice(1)}`, etag.slice(1, -1)]) {
      expect((await ask({ 'if-none-match': known })).status, known).toBe(200);
    }
    const absent = await fetch(`${server.url}/none`);
    expect(absent.headers.get('cache-control')).toBe('no-store');
  });

  test('public URLs', async () => {
    expect(parsePublicUrl('https://m.example.com/')).toBe('https://m.example.com');
    expect(parsePublicUrl('http://m:8080/a/b/')).toBe('http://m:8080/a/b');
    const bad = ['', 'm', 'm:8080', 'ftp://m', 'http://', 'http:m', 'http://u:p@m', 'http://m/?x'];
    for (const text of [
      ...bad,
      'http://m/#x',
      'http://m/ x',
      'http://m/?',
      'file:///etc',
      'a\nb',
    ]) {
      expect(() => parsePublicUrl(text), text).toThrow(
        expect.objectContaining({ code: 'PUBLIC_URL' }),
      );
    }
    const argv = ['serve', '-b', synthetic.path, '--listen', '127.0.0.1:0', '--public-url', 'x'];
    expect(await cli([...argv, '--images', join(folder.path, 'p'), '--no-cache'])).toMatchObject({
      code: 2,
    });
  });
});

describe('clients that do not go away', () => {
  /** A server of a body that no socket's buffers hold. */
  async function endless(limits: ConnectionLimits) {
    const server = createServer((request, response) => {
      const { socket } = request;
      connections.begin(socket);
      const sent = { bytes: 0, take: (bytes: number) => connections.took(socket, bytes) };
      const run = async () => {
        if (request.url === '/small') await sendBytes(response, Buffer.from('small'), sent);
        else {
          connections.sending(socket);
          const chunk = Buffer.alloc(1 << 20);
          while (!response.destroyed) await sendBytes(response, chunk, sent);
        }
        await finish(response);
        connections.done(socket);
      };
      void run();
    });
    const connections = limitConnections(server, limits);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const sockets: Socket[] = [];
    return {
      url: `http://127.0.0.1:${port}`,
      /** Asks, and reads nothing. */
      async slow(path = '/endless') {
        const socket = connect(port, '127.0.0.1').on('error', () => {});
        sockets.push(socket);
        await once(socket, 'connect');
        socket.pause();
        if (path) socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
      },
      count: () =>
        new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count))),
      [Symbol.dispose]() {
        for (const socket of sockets) socket.destroy();
        connections[Symbol.dispose]();
        server.close();
        server.closeAllConnections();
      },
    };
  }

  test.each([
    ['readers that read nothing', '/endless'],
    ['that ask for nothing', ''],
  ])('%s do not lock others out', async (_name, path) => {
    using server = await endless({ max: 20, stall: 60_000 });
    for (let i = 0; i < 80; i++) await server.slow(path);
    await sleep(50);
    expect(await get(`${server.url}/small`)).toEqual(Buffer.from('small'));
    expect(await server.count()).toBeLessThanOrEqual(21);
  });

  test('a client that reads nothing is disconnected in time', async () => {
    using server = await endless({ max: 100, stall: 300 });
    for (let i = 0; i < 10; i++) await server.slow();
    expect(await server.count()).toBeGreaterThan(0);
    for (let i = 0; i < 100 && (await server.count()) > 0; i++) await sleep(50);
    expect(await server.count()).toBe(0);
  });

  test('a client that sends its request drop by drop, or none, is disconnected in time', {
    timeout: 120_000,
  }, async () => {
    await using server = await start('drops');
    const { hostname, port } = new URL(server.url);
    const drops = async (start: string, more: string) => {
      const socket = connect(Number(port), hostname).on('error', () => {});
      let answer = '';
      socket.on('data', (bytes: Buffer) => {
        answer += bytes.toString('latin1');
      });
      const began = performance.now();
      socket.write(start);
      const timer = setInterval(() => more && socket.write(more), 1000);
      await once(socket, 'close');
      clearInterval(timer);
      expect(performance.now() - began).toBeLessThan(60_000);
      return answer.split('\r\n', 1)[0];
    };
    const head = 'GET /live-kernel HTTP/1.1\r\nHost: a\r\n';
    const put = `PUT /live-kernel HTTP/1.1\r\nHost: a\r\n`;
    const late = 'HTTP/1.1 408 Request Timeout';
    const answers = await Promise.all([
      drops('G', 'E'),
      drops(head, 'X: y\r\n'),
      drops(`${head}X: `, 'y'),
      drops('', ''),
      drops(`${head}Content-Length: 1000\r\n\r\n`, 'x'),
      drops(`${put}Transfer-Encoding: chunked\r\n\r\n`, '1\r\nx\r\n'),
      get(`${server.url}/live-kernel`),
    ]);
    expect(answers.slice(0, 6)).toEqual([
      ...['HTTP/1.1 400 Bad Request', late, late, late],
      // Answered without its body, which is not awaited for long.
      ...['HTTP/1.1 200 OK', 'HTTP/1.1 405 Method Not Allowed'],
    ]);
    expect(answers[6]).toEqual(kernel());
  });

  test('the server itself has these limits', async () => {
    await using server = await start('limits', { max: 10, stall: 60_000 });
    const { hostname, port } = new URL(server.url);
    const sockets = Array.from({ length: 80 }, () =>
      connect(Number(port), hostname).on('error', () => {}),
    );
    await Promise.all(sockets.slice(0, 9).map((socket) => once(socket, 'connect')));
    await sleep(100);
    expect(await get(`${server.url}/live-kernel`)).toEqual(kernel());
    for (const socket of sockets) socket.destroy();
    await rm(join(folder.path, 'limits'), { recursive: true });
  });
});
