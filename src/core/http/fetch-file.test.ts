import { execFileSync, spawn } from 'node:child_process';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { type Fault, fileServer } from '../../../test/support/file-server.ts';
import { endless, rawServer } from '../../../test/support/raw-server.ts';
import { noise, sha256Of, temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { createHttp } from './client.ts';
import { type FetchFileOptions, fetchFile } from './fetch-file.ts';
import { readAnswer } from './ranges.ts';

const BYTES = noise(400_000, 'fetched');
const SHA256 = sha256Of(BYTES);

/** Fetches once into a folder of its own; what is left there. */
async function run(url: string, more: Partial<FetchFileOptions> = {}, part?: Buffer) {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'file');
  if (part) await writeFile(`${path}.part`, part);
  const error: unknown = await fetchFile({
    ...{ url, path, sha256: SHA256, attempts: 3, pause: 1, ...more },
  }).catch((reason: unknown) => reason);
  const left = (await readdir(folder.path)).sort();
  const isRight = left.includes('file') && (await readFile(path)).equals(BYTES);
  return { error, left, isRight };
}

async function served(fault: Fault, more: Partial<FetchFileOptions> = {}, part?: Buffer) {
  await using server = await fileServer(new Map([['file', BYTES]]), fault);
  const made = await run(`${server.url}/file`, more, part);
  return { ...made, requests: server.requests };
}

const GOOD = { error: undefined, left: ['file'], isRight: true };

test('200 files of a server that closes after each answer: python3 -m http.server', async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'file'), BYTES);
  const port = await freePort();
  const server = spawn(
    'python3',
    ['-m', 'http.server', String(port), '--bind', '127.0.0.1', '--directory', folder.path],
    { stdio: 'ignore' },
  );
  try {
    using http = createHttp();
    const url = `http://127.0.0.1:${port}/file`;
    for (let i = 0; ; i++) {
      const up = await http.request(url).catch(() => undefined);
      up?.[Symbol.dispose]();
      if (up) break;
      if (i > 200) throw new Error('the server does not start');
      await sleep(50);
    }
    const into = join(folder.path, 'into');
    await mkdir(into);
    let right = 0;
    const turn = async (i: number) => {
      const path = join(into, String(i));
      // One attempt: nothing may break.
      await fetchFile({ url, path, sha256: SHA256, attempts: 1, http });
      if ((await readFile(path)).equals(BYTES)) right++;
    };
    for (let i = 0; i < 200; i += 4) await Promise.all([0, 1, 2, 3].map((k) => turn(i + k)));
    expect(right).toBe(200);
  } finally {
    server.kill();
  }
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

const length = (declared: number): Fault => {
  return (_request, response) => {
    response.writeHead(200, { 'content-length': declared });
    response.write(BYTES);
    return true;
  };
};

test.each([
  ['60 TiB declared', length(60 * 2 ** 40), {}, 'DOWNLOAD_SIZE'],
  ['60 TiB declared, and allowed', length(60 * 2 ** 40), { limit: 2 ** 50 }, 'DISK_FULL'],
  ['60 TiB promised by a manifest', length(60 * 2 ** 40), { size: 60 * 2 ** 40 }, 'DISK_FULL'],
  ['more than the limit', length(BYTES.length), { limit: 1000 }, 'DOWNLOAD_SIZE'],
  ['more than promised', length(BYTES.length), { size: 1000 }, 'DOWNLOAD_SIZE'],
  ['less than promised', length(10), { size: 1000 }, 'DOWNLOAD_SIZE'],
] as const)('%s: refused before anything is written', async (_name, fault, more, code) => {
  const { error, left, requests } = await served(fault, more);
  expect(error).toMatchObject({ code });
  expect(left).toEqual([]);
  expect(requests).toHaveLength(1);
});

test('a body without end and without a length: up to the limit, and nothing stays', async () => {
  await using flood = await rawServer((socket) =>
    endless(socket, 'HTTP/1.1 200 OK\r\n\r\n', Buffer.alloc(1 << 20, 'x')),
  );
  const { error, left } = await run(flood.url, { limit: 8 << 20 });
  expect(error).toMatchObject({ code: 'DOWNLOAD_SIZE' });
  expect(left).toEqual([]);
});

test('a permanent error is reported at once', async () => {
  await using flood = await rawServer((socket) =>
    endless(socket, 'HTTP/1.1 500 Oops\r\n\r\n', Buffer.alloc(1 << 20, 'x')),
  );
  const { error, left } = await run(flood.url);
  expect(error).toMatchObject({ code: 'DOWNLOAD', message: expect.stringContaining('500 Oops') });
  expect(left).toEqual([]);
  expect(flood.heads).toHaveLength(3);
});

/** The first answer breaks off; those that follow are `then`'s, or good. */
function first(headers: Record<string, string>, then: Fault): Fault {
  let count = 0;
  return (request, response, body) => {
    if (count++ > 0) return then(request, response, body);
    response.writeHead(200, { 'content-length': body.length, ...headers });
    response.write(body.subarray(0, 200_000), () => setTimeout(() => response.destroy(), 20));
    return true;
  };
}
const other = noise(BYTES.length, 'other');

test.each([
  [
    'a range other than the one requested',
    {},
    ((request, response, body) => {
      if (!request.headers.range) return false;
      response.writeHead(206, { 'content-range': `bytes 5-${body.length - 1}/${body.length}` });
      response.end(body.subarray(5));
      return true;
    }) satisfies Fault,
  ],
  [
    'the rest of a longer file',
    {},
    ((request, response) => {
      const start = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0);
      if (start === 0) return false;
      response.writeHead(206, { 'content-range': `bytes ${start}-499999/500000` });
      response.end(noise(500_000 - start, 'longer'));
      return true;
    }) satisfies Fault,
  ],
  [
    'the rest of another file, by its ETag',
    { etag: '"one"' },
    ((request, response, body) => {
      const start = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0);
      if (start === 0) return false;
      const range = `bytes ${start}-${body.length - 1}/${body.length}`;
      response.writeHead(206, { 'content-range': range, etag: '"two"' });
      response.end(other.subarray(start));
      return true;
    }) satisfies Fault,
  ],
  [
    'the rest of another file, without any sign of it',
    {},
    ((request, response, body) => {
      const start = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0);
      if (start === 0) return false;
      const range = `bytes ${start}-${body.length - 1}/${body.length}`;
      response.writeHead(206, { 'content-range': range }).end(other.subarray(start));
      return true;
    }) satisfies Fault,
  ],
  [
    'the whole file',
    { etag: '"one"' },
    ((_request, response, body) => {
      response.writeHead(200, { etag: '"two"', 'content-length': body.length }).end(body);
      return true;
    }) satisfies Fault,
  ],
])(
  'asked for the rest, a server sends %s: starts again from the beginning',
  async (_name, headers, then) => {
    const { requests, ...made } = await served(first(headers, then));
    expect(made).toEqual(GOOD);
    expect(requests[1]).toMatch(/ bytes=\d+-$/);
  },
);

test('the rest of a changed file is not used: If-Range', async () => {
  const seen: unknown[] = [];
  await served(
    first({ etag: '"one"' }, (request) => {
      seen.push(request.headers['if-range']);
      return false;
    }),
  );
  await served(
    first({ etag: 'W/"weak"' }, (request) => {
      seen.push(request.headers['if-range']);
      return false;
    }),
  );
  expect(seen).toEqual(['"one"', undefined]);
});

test('a part stays if a server can continue it, and is removed if not', async () => {
  const breaking =
    (headers: Record<string, string>): Fault =>
    (_request, response, body) => {
      response.writeHead(200, { 'content-length': body.length, ...headers });
      response.write(body.subarray(0, 100_000), () => setTimeout(() => response.destroy(), 20));
      return true;
    };
  const once = { attempts: 1 };
  expect((await served(breaking({ 'accept-ranges': 'bytes' }), once)).left).toEqual(['file.part']);
  expect((await served(breaking({}), once)).left).toEqual(['file.part']);
  expect((await served(breaking({ 'accept-ranges': 'none' }), once)).left).toEqual([]);
  // It was asked for the rest, and began anew.
  expect((await served(breaking({}), { attempts: 2 })).left).toEqual([]);
});

test('a part that leads elsewhere is not followed', async () => {
  await using folder = await temporaryFolder();
  await using server = await fileServer(new Map([['file', BYTES]]));
  const victim = join(folder.path, 'victim');
  await writeFile(victim, 'precious');
  for (const make of [
    (part: string) => symlink(victim, part),
    async (part: string) => void execFileSync('ln', [victim, part]),
    async (part: string) => void execFileSync('mkfifo', [part]),
  ]) {
    const path = join(folder.path, 'file');
    await make(`${path}.part`);
    await fetchFile({ url: `${server.url}/file`, path, sha256: SHA256 });
    expect((await readFile(path)).equals(BYTES)).toBe(true);
    expect(await readFile(victim, 'utf8')).toBe('precious');
  }
});

test('gives up on a server that sends a few bytes per connection', async () => {
  let at = 0;
  const fault: Fault = ({ headers }, response, body) => {
    const start = Number(/\d+/.exec(headers.range ?? '')?.[0] ?? 0);
    at = start + 10;
    response.writeHead(headers.range ? 206 : 200, {
      'content-range': `bytes ${start}-${body.length - 1}/${body.length}`,
      'content-length': body.length - start,
    });
    response.write(body.subarray(start, at), () => setTimeout(() => response.destroy(), 5));
    return true;
  };
  const { error, requests } = await served(fault);
  expect(error).toMatchObject({ code: 'DOWNLOAD' });
  expect(requests).toHaveLength(3);
});

test('waits for Retry-After, and reports a long one', async () => {
  for (const status of [429, 503]) {
    const times: number[] = [];
    const { requests, ...made } = await served((_request, response) => {
      times.push(performance.now());
      if (times.length > 1) return false;
      response.writeHead(status, { 'retry-after': '1' }).end();
      return true;
    });
    expect(made).toEqual(GOOD);
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(900);
  }
  const { error, requests } = await served((_request, response) => {
    response.writeHead(429, { 'retry-after': '86400' }).end();
    return true;
  });
  expect(error).toMatchObject({ message: expect.stringContaining('in 86400 seconds') });
  expect(requests).toHaveLength(1);
});

test.each([408, 425, 429, 500, 502, 503, 504])('a storm of %i comes to an end', async (status) => {
  for (const headers of [{ 'retry-after': '0' }, {}]) {
    const { error, requests } = await served((_request, response) => {
      response.writeHead(status, headers).end();
      return true;
    });
    expect(error).toMatchObject({
      kind: 'io',
      code: 'DOWNLOAD',
      message: expect.stringContaining(`the server says ${status}`),
    });
    expect(requests).toHaveLength(3);
  }
});

test.each([
  [200, { 'content-length': '5' }, 0, { kind: 'bytes', start: 0, total: 5 }],
  [200, {}, 3, { kind: 'bytes', start: 0, total: undefined }],
  [206, { 'content-range': 'bytes 3-4/5' }, 3, { kind: 'bytes', start: 3, total: 5 }],
  [206, { 'content-range': 'bytes 3-4/*' }, 3, { kind: 'bytes', start: 3, total: undefined }],
  [206, { 'content-range': 'bytes 3-3/5' }, 3, { kind: 'other' }],
  [206, { 'content-range': 'bytes 2-4/5' }, 3, { kind: 'other' }],
  [206, {}, 3, { kind: 'other' }],
  [206, { 'content-range': 'bytes 0-4/5' }, 0, { kind: 'other' }],
  [204, {}, 0, { kind: 'other' }],
  [416, { 'content-range': 'bytes */3' }, 3, { kind: 'complete' }],
  [416, { 'content-range': 'bytes */9' }, 3, { kind: 'other' }],
  [416, {}, 0, { kind: 'other' }],
])('status %i with %j to a request from %i', (status, headers, from, expected) => {
  const header = (name: string) => (headers as Record<string, string>)[name];
  const known = { etag: undefined, total: undefined };
  expect(readAnswer({ status, header }, from, known)).toMatchObject(expected);
});
