import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createSecureContext, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rawServer } from '../../../test/support/raw-server.ts';
import { noise, sha256Of, temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { selfSigned } from '../../../test/support/tls.ts';
import { readBody } from './body.ts';
import { createHttp } from './client.ts';
import { fetchFile } from './fetch-file.ts';
import { TransportError } from './transport-error.ts';

/** Milliseconds. */
const QUICK = { connect: 1000, headers: 400, idle: 400, minute: 800 };

/** Writes one byte after the other, so slowly that none of them is late. */
function drip(socket: Socket, text: string): void {
  let at = 0;
  const timer = setInterval(() => socket.write(text[at++ % text.length] ?? ''), 50);
  socket.on('close', () => clearInterval(timer));
}

test.each([
  ['the status line', '', 'HTTP/1.1 200 OK'],
  ['a header without end', 'HTTP/1.1 200 OK\r\nX-Slow: ', 'a'],
  ['one header after the other', 'HTTP/1.1 200 OK\r\n', 'X: y\r\n'],
  ['interim answers', '', 'HTTP/1.1 102 Processing\r\n\r\n'],
])('a server that drips %s is given up', async (_what, start, text) => {
  await using server = await rawServer((socket) => {
    socket.write(start);
    drip(socket, text);
  });
  using http = createHttp({ timeouts: QUICK });
  await expect(http.request(server.url)).rejects.toThrow('the server went silent');
});

test.each([
  ['a body', 'Content-Length: 1000000\r\n\r\n', 'x'],
  ['a body without a length', '\r\n', 'x'],
  ['chunks', 'Transfer-Encoding: chunked\r\n\r\n', '1\r\nx\r\n'],
  ['an extension of a chunk', 'Transfer-Encoding: chunked\r\n\r\n1;', 'a'],
  ['trailers', 'Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n', 'A: b\r\n'],
])('a server that drips %s is given up', async (_what, start, text) => {
  await using server = await rawServer((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\n${start}`);
    drip(socket, text);
  });
  using http = createHttp({ timeouts: QUICK });
  using response = await http.request(server.url);
  await expect(readBody(response, 10 << 20, 'it')).rejects.toThrow(/too slowly|went silent/);
});

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let tls: Awaited<ReturnType<typeof selfSigned>>;
beforeAll(async () => {
  folder = await temporaryFolder();
  tls = await selfSigned(folder.path);
}, 120_000);
afterAll(() => folder[Symbol.asyncDispose]());

const trusting = () => {
  const contextFor = async () => createSecureContext({ ca: tls.cert });
  return createHttp({ timeouts: QUICK, trust: { contextFor } });
};

/** A TLS server, and how it treats the TCP connections below it. */
async function tlsServer(
  answer: (socket: TLSSocket, below: Socket, count: number) => void,
  onTcp: (socket: Socket) => boolean = () => false,
) {
  let count = 0;
  const inner = createTlsServer(tls);
  const open = new Set<Socket>();
  const below = new WeakMap<object, Socket>();
  const outer = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {});
    if (onTcp(socket)) return;
    below.set(socket, socket);
    inner.emit('connection', socket);
    last = socket;
  });
  let last: Socket | undefined;
  inner.on('tlsClientError', () => {});
  inner.on('secureConnection', (socket) => {
    const under = last as Socket;
    socket.on('error', () => {});
    socket.once('data', () => answer(socket, under, ++count));
  });
  await new Promise<void>((ready) => outer.listen(0, '127.0.0.1', ready));
  return {
    url: `https://127.0.0.1:${(outer.address() as AddressInfo).port}/file`,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise((closed) => outer.close(closed));
    },
  };
}

test.each([
  ['closed at once', (socket: Socket) => socket.destroy()],
  ['reset at once', (socket: Socket) => socket.resetAndDestroy()],
  ['ended after the hello', (socket: Socket) => socket.once('data', () => socket.end())],
  [
    'cut in the answer to the hello',
    (socket: Socket) =>
      socket.once('data', () => socket.end(Buffer.from('1603030200020000', 'hex'))),
  ],
  ['never answered', () => {}],
  ['dripping', (socket: Socket) => drip(socket, '\x16\x03\x03\x10\x00\x02')],
])('a TLS handshake that is %s is an error that may pass', async (_what, treat) => {
  await using server = await tlsServer(
    () => {},
    (socket) => {
      treat(socket);
      return true;
    },
  );
  using http = trusting();
  const error = await http.request(server.url).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(TransportError);
  expect(error).toMatchObject({ transient: true });
});

test.each([
  ['ended without a close notification', (below: Socket) => below.end()],
  ['cut', (below: Socket) => below.destroy()],
  ['reset', (below: Socket) => below.resetAndDestroy()],
  [
    'followed by garbage',
    (below: Socket) => below.end(Buffer.from('1703030010aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'hex')),
  ],
])('a body over TLS that is %s is continued', async (_what, cut) => {
  const bytes = noise(300_000, 'tls');
  await using server = await tlsServer((socket, below, count) => {
    if (count > 1) {
      socket.end(
        Buffer.concat([
          Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes.length}\r\n\r\n`),
          bytes,
        ]),
      );
      return;
    }
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes.length}\r\n\r\n`);
    socket.write(bytes.subarray(0, 100_000), () => setTimeout(() => cut(below), 50));
  });
  using http = trusting();
  const path = join(folder.path, 'file');
  await fetchFile({ url: server.url, http, path, sha256: sha256Of(bytes), pause: 1 });
  expect(await readFile(path)).toEqual(bytes);
});
