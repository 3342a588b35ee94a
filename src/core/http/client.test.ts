import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { forwardProxy } from '../../../test/support/forward-proxy.ts';
import { endless, rawServer } from '../../../test/support/raw-server.ts';
import { noise, temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { selfSigned } from '../../../test/support/tls.ts';
import { readBody, readExcerpt } from './body.ts';
import { createHttp, type HttpRequest } from './client.ts';

const QUICK = { timeouts: { connect: 2000, headers: 300, idle: 300 } };

async function server(listener: RequestListener, tls?: { key: Buffer; cert: Buffer }) {
  const made = tls ? createHttpsServer(tls, listener) : createServer(listener);
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  const { port } = made.address() as AddressInfo;
  return {
    ...{ port, host: `127.0.0.1:${port}`, url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}` },
    made,
    async [Symbol.asyncDispose]() {
      made.closeAllConnections();
      await new Promise((resolve) => made.close(resolve));
    },
  };
}

/** Status and body of one request by a client of its own. */
async function get(url: string, request: HttpRequest = {}, options = {}) {
  using http = createHttp(options);
  using response = await http.request(url, request);
  const body = await readBody(response, 10 << 20, 'a test');
  return { status: response.status, url: response.url, body: body.toString() };
}

test('a body is not decoded, whatever its content coding', async () => {
  for (const coding of ['gzip', 'x-gzip', 'br', 'zstd', 'nonsense']) {
    const stored = gzipSync('released file');
    const seen: (string | undefined)[] = [];
    await using mirror = await server((request, response) => {
      seen.push(String(request.headers['accept-encoding']));
      response.writeHead(200, { 'content-encoding': coding }).end(stored);
    });
    using http = createHttp();
    using response = await http.request(mirror.url);
    expect(await readBody(response, 1000, 'it')).toEqual(stored);
    expect(seen).toEqual(['identity']);
  }
});

test('a login is sent only to its origin, wherever redirects lead', async () => {
  const seen: string[] = [];
  const note =
    (name: string) =>
    ({ url, headers }: IncomingMessage) =>
      seen.push(`${name} ${url} ${'authorization' in headers ? 'login' : 'no login'}`);
  await using other = await server((request, response) => {
    note('other')(request);
    response.writeHead(307, { location: `${first.url}/back` }).end();
  });
  await using first = await server((request, response) => {
    note('first')(request);
    if (request.url === '/back') response.end('done');
    else if (request.url === '/same') response.writeHead(302, { location: '/away' }).end();
    else response.writeHead(301, { location: `${other.url}/x` }).end();
  });
  const { body } = await get(`${first.url}/same`, { authorization: 'Basic c2VjcmV0' });
  expect(body).toBe('done');
  expect(seen).toEqual([
    ...['first /same login', 'first /away login', 'other /x no login', 'first /back login'],
  ]);
  // The same host and port by another name is another origin.
  seen.length = 0;
  const named = first.url.replace('127.0.0.1', 'localhost');
  await using hop = await server((_request, response) =>
    response.writeHead(308, { location: `${named}/back` }).end(),
  );
  await get(hop.url, { authorization: 'Basic c2VjcmV0' });
  expect(seen).toEqual(['first /back no login']);
});

test.each([
  ['in circles', '/', 'in circles'],
  ['to a file', 'file:///etc/passwd', 'redirects to'],
  ['to nonsense', 'http://[', 'redirects to'],
])('a redirect %s is an error', async (_name, location, message) => {
  await using mirror = await server((_request, response) =>
    response.writeHead(302, { location }).end(),
  );
  await expect(get(mirror.url)).rejects.toThrow(message);
});

test('from https to http on a network: only where the digest is known, and never with a body', async () => {
  await using folder = await temporaryFolder();
  const tls = await selfSigned(folder.path);
  await using site = await server(
    (_request, response) => response.writeHead(307, { location: 'http://plain.invalid/x' }).end(),
    tls,
  );
  const trusting = await trustingHome(folder.path, site.host, tls.certPath);
  const refused = 'which is not encrypted';
  await expect(get(site.url, {}, trusting)).rejects.toThrow(refused);
  // Let through, it fails at the name that nobody has.
  await expect(get(site.url, { downgrade: true }, trusting)).rejects.toThrow(
    /host name|name server/,
  );
  const body = async function* () {
    yield Buffer.from('blob');
  };
  await expect(get(site.url, { method: 'PUT', body, downgrade: true }, trusting)).rejects.toThrow(
    refused,
  );
});

/** A home folder whose certs.d has a CA for that host. */
async function trustingHome(folder: string, host: string, certPath: string) {
  const home = join(folder, 'home');
  const own = join(home, '.config/containers/certs.d', host);
  await mkdir(own, { recursive: true });
  await copyFile(certPath, join(own, 'ca.crt'));
  return { env: { HOME: home } };
}

test('certificates: unknown ones are refused, those of certs.d are not, and clients show theirs', async () => {
  await using folder = await temporaryFolder();
  const tls = await selfSigned(folder.path);
  const listener: RequestListener = (request, response) => {
    const socket = request.socket as import('node:tls').TLSSocket;
    response.end(String(socket.getPeerCertificate().subject?.CN));
  };
  await using site = await server(listener, {
    ...tls,
    requestCert: true,
    ca: tls.cert,
    rejectUnauthorized: false,
  } as typeof tls);
  await expect(get(site.url)).rejects.toThrow('its certificate is not trusted');
  const options = await trustingHome(folder.path, site.host, tls.certPath);
  expect(await get(site.url, {}, options)).toMatchObject({ body: 'undefined' });
  const own = join(options.env.HOME, '.config/containers/certs.d', site.host);
  await writeFile(join(own, 'client.cert'), tls.cert);
  await expect(get(site.url, {}, options)).rejects.toMatchObject({ code: 'CERTIFICATES' });
  await writeFile(join(own, 'client.key'), tls.key);
  expect(await get(site.url, {}, options)).toMatchObject({ body: 'test' });
});

test('a proxy: http with the whole URL, https through a tunnel, each with its login', async () => {
  await using folder = await temporaryFolder();
  const tls = await selfSigned(folder.path);
  await using site = await server((_request, response) => response.end('by tunnel'), tls);
  await using proxy = await forwardProxy(site.port, 'Basic bWU6c2VjcmV0');
  const { env } = await trustingHome(folder.path, 'reg.test', tls.certPath);
  const http_proxy = `http://me:secret@${proxy.host}`;
  const options = { env: { ...env, http_proxy, https_proxy: http_proxy, no_proxy: '127.0.0.1' } };
  expect(await get('http://mirror.invalid/x?y', {}, options)).toMatchObject({ body: 'by proxy' });
  expect(await get('https://reg.test/', {}, options)).toMatchObject({ body: 'by tunnel' });
  expect(proxy.seen).toEqual([
    'GET http://mirror.invalid/x?y mirror.invalid',
    'CONNECT reg.test:443',
  ]);
  const nobody = { env: { ...env, https_proxy: `http://${proxy.host}` } };
  await expect(get('https://reg.test/', {}, nobody)).rejects.toThrow('the proxy requires a login');
});

test('a proxy that never answers, or answers without end, is given up', async () => {
  await using silent = await rawServer(() => {});
  const quick = (url: string) => ({
    env: { https_proxy: url },
    timeouts: { ...QUICK.timeouts, connect: 300 },
  });
  await expect(get('https://reg.test/', {}, quick(silent.url))).rejects.toThrow(
    /no connection in time|the proxy does not answer/,
  );
  await using flood = await rawServer((socket) =>
    endless(socket, 'HTTP/1.1 200 OK\r\n', Buffer.from(`X-A: ${'a'.repeat(100)}\r\n`)),
  );
  await expect(get('https://reg.test/', {}, { env: { https_proxy: flood.url } })).rejects.toThrow(
    'too long',
  );
});

test('a server that hangs up after each answer, while the body waits to be read', async () => {
  const body = noise(300_000, 'body');
  for (const head of [
    `HTTP/1.0 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`,
    'HTTP/1.0 200 OK\r\n\r\n',
    `HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n`,
    'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n',
  ]) {
    await using closing = await rawServer((socket) => {
      socket.write(head);
      socket.end(body);
    });
    using http = createHttp();
    for (let i = 0; i < 10; i++) {
      using response = await http.request(closing.url);
      await sleep(i * 5); // something else is awaited
      expect(body.equals(await readBody(response, body.length, 'it'))).toBe(true);
    }
    // Never read at all, it must not end the process either.
    using unread = await http.request(closing.url);
    await sleep(50);
    expect(unread.status).toBe(200);
  }
});

test.each([
  ['short', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc', 'was broken'],
  [
    'an unfinished chunk',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab',
    'was broken',
  ],
  ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n\r\n', 'not valid HTTP'],
  ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd', 'HTTP'],
  ['nothing', '', 'was broken'],
])('an answer that is %s is an error, never a short body', async (_name, text, message) => {
  await using bad = await rawServer((socket) => socket.end(text));
  await expect(get(bad.url)).rejects.toThrow(message);
});

/** Bytes that this process has grown by. */
const memory = () => process.memoryUsage().rss;

test('a body without end: read up to its limit, and for an error a little of it', async () => {
  await using flood = await rawServer((socket) =>
    endless(socket, 'HTTP/1.1 500 Oops\r\n\r\n', Buffer.alloc(1 << 20, 'x')),
  );
  const before = memory();
  await expect(get(flood.url)).rejects.toMatchObject({ code: 'TOO_LARGE' });
  using http = createHttp();
  using response = await http.request(flood.url);
  expect((await readExcerpt(response)).length).toBe(16 << 10);
  expect(memory() - before).toBeLessThan(200 << 20);
});

test.each([
  ['headers without end', 'X-A: b\r\n', 'too long'],
  ['one header without end', 'a', 'too long'],
])('%s are refused', async (_name, piece, message) => {
  await using flood = await rawServer((socket) =>
    endless(socket, 'HTTP/1.1 200 OK\r\nX: ', Buffer.from(piece.repeat(1000))),
  );
  await expect(get(flood.url, {}, {})).rejects.toThrow(message);
});

/** Writes a piece now and then, for as long as the client stays. */
function drip(head: string, piece: string, pause: number) {
  return async (socket: import('node:net').Socket) => {
    socket.write(head);
    while (!socket.destroyed) {
      socket.write(piece);
      await sleep(pause);
    }
  };
}

test.each([
  ['no headers', '', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ['headers that drip', 'HTTP/1.1 200 OK\r\n', 'X-A: b\r\n'],
])('%s: given up after a time', async (_name, head, piece) => {
  await using slow = await rawServer(drip(head, piece, 50));
  await expect(get(slow.url, {}, QUICK)).rejects.toThrow('silent');
});

test('a body that trickles: silence is an error, and so is a whole minute of almost nothing', async () => {
  const head = 'HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n';
  await using stops = await rawServer((socket) => void socket.write(`${head}abc`));
  await expect(get(stops.url, {}, QUICK)).rejects.toThrow('silent');
  await using slow = await rawServer(drip(head, 'a', 50));
  await expect(
    get(slow.url, {}, { timeouts: { ...QUICK.timeouts, minute: 1000 } }),
  ).rejects.toThrow('too slowly');
});

test('a slow reader does not count as a silent server', async () => {
  const body = noise(400_000, 'slow reader');
  await using site = await server((_request, response) => response.end(body));
  using http = createHttp(QUICK);
  using response = await http.request(site.url);
  const pieces: Buffer[] = [];
  for await (const piece of response.body) {
    if (pieces.length === 0) await sleep(700);
    pieces.push(piece);
  }
  expect(body.equals(Buffer.concat(pieces))).toBe(true);
});

test('an abort ends a request in each of its phases', async () => {
  for (const head of ['', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc']) {
    await using silent = await rawServer((socket) => void socket.write(head));
    const reason = new Error('enough');
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 100);
    await expect(get(silent.url, { signal: controller.signal })).rejects.toBe(reason);
  }
});

test('a kept connection that the server has since closed is not an error', async () => {
  const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
  // Says nothing of closing, and closes once it is asked again.
  const counts = new WeakMap<object, number>();
  await using site = await rawServer((socket) => {
    const count = (counts.get(socket) ?? 0) + 1;
    counts.set(socket, count);
    if (count === 1) socket.write(answer);
    else socket.destroy();
  });
  using http = createHttp();
  for (let i = 0; i < 3; i++) {
    using response = await http.request(site.url);
    expect((await readBody(response, 10, 'it')).toString()).toBe('ok');
  }
});

test('a server that refuses an upload before it is through is heard', async () => {
  await using site = await rawServer((socket) => {
    socket.write('HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno!');
  });
  let sent = 0;
  const body = async function* () {
    for (;;) {
      sent += 1 << 16;
      yield Buffer.alloc(1 << 16);
      await sleep(1);
    }
  };
  expect(await get(site.url, { method: 'PUT', body })).toMatchObject({ status: 413, body: 'no!' });
  expect(sent).toBeLessThan(50 << 20);
});
