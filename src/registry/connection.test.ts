import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { forwardProxy } from '../../test/support/forward-proxy.ts';
import { mockRegistry } from '../../test/support/mock-registry.ts';
import { endless, rawServer } from '../../test/support/raw-server.ts';
import { noise, sha256Of, temporaryFolder } from '../../test/support/synthetic-bundle.ts';
import { selfSigned } from '../../test/support/tls.ts';
import { createHttp } from '../core/http/client.ts';
import { openRegistry } from './client.ts';
import type { RegistryOptions } from './connection.ts';
import type { Credentials } from './credentials.ts';
import { findCredentials } from './credentials.ts';
import { parseReference, type Reference } from './reference.ts';
import { contentOfBytes } from './upload.ts';

const MANIFEST = Buffer.from('{"schemaVersion":2}');
const DIGEST = sha256Of(MANIFEST);
const LOGIN: Credentials = { basic: Buffer.from('me:secret').toString('base64') };
const BASIC = `Basic ${LOGIN.basic}`;
const QUICK = { retry: { pause: 1 } };

const open = (host: string, options: RegistryOptions = {}, name = 'x') => {
  const reference: Reference = { host, name, tag: 'latest', digest: undefined };
  return openRegistry(reference, { ...QUICK, ...options, upload: { pause: 1 } });
};

type Answer = (request: IncomingMessage, response: ServerResponse, count: number) => unknown;

const give = (response: ServerResponse, bytes: Buffer = MANIFEST) =>
  response.writeHead(200, { 'content-length': bytes.length }).end(bytes);

/** Answers 401 with these challenges until `isIn`; gives tokens at /token. */
const guarded =
  (
    challenges: (request: IncomingMessage) => string | string[],
    isIn: (authorization: string) => boolean,
    then: Answer = (_request, response) => give(response),
    token: object = { token: 't0k' },
  ): Answer =>
  (request, response, count) => {
    if (request.url?.startsWith('/token')) return response.end(JSON.stringify(token));
    if (isIn(request.headers.authorization ?? '')) return then(request, response, count);
    return response.writeHead(401, { 'www-authenticate': challenges(request) }).end('{}');
  };

const bearer = ({ headers }: IncomingMessage) =>
  `Bearer realm="http://${headers.host}/token",service="s",scope="repository:x:pull"`;
const isToken = (authorization: string) => authorization === 'Bearer t0k';
const isBasic = (authorization: string) => authorization === BASIC;

test.each([
  ['bearer', bearer, isToken, undefined],
  ['bearer with a login', bearer, isToken, LOGIN],
  ['basic', () => 'Basic realm="r"', isBasic, LOGIN],
  ['negotiate, then basic', () => ['Negotiate', 'Basic realm="r"'], isBasic, LOGIN],
  ['all in one header', () => 'Negotiate, Basic realm="r"', isBasic, LOGIN],
  [
    'basic, then bearer, without a login',
    (r) => `Basic realm="r", ${bearer(r)}`,
    isToken,
    undefined,
  ],
  ['bearer that lets nobody in, then basic', (r) => [bearer(r), 'basic realm=r'], isBasic, LOGIN],
  ['basic that lets nobody in, then bearer', (r) => ['BASIC realm=r', bearer(r)], isToken, LOGIN],
  ['no quotes', (r) => `Bearer realm=http://${r.headers.host}/token,service=s`, isToken, undefined],
  ['a realm of the registry itself', () => 'Bearer realm="/token"', isToken, undefined],
  [
    'a realm with a query',
    (r) => `Bearer realm="http://${r.headers.host}/token?a=b"`,
    isToken,
    undefined,
  ],
] as [
  string,
  (r: IncomingMessage) => string | string[],
  typeof isToken,
  Credentials | undefined,
][])('a registry that asks for %s lets us in', async (_name, challenges, isIn, credentials) => {
  await using registry = await mockRegistry(guarded(challenges, isIn));
  const { sha256 } = await open(registry.host, { credentials }).manifest('latest');
  expect(sha256).toBe(DIGEST);
});

test.each([
  ['access_token', { access_token: 't0k' }, true],
  ['both', { token: 't0k', access_token: 'x', expires_in: 'soon' }, true],
  ['none', {}, false],
  ['one that cannot be sent', { token: 't0k\r\nX-Evil: 1' }, false],
  ['an empty one', { token: '' }, false],
])('a token server that gives %s', async (_name, token, isGood) => {
  await using registry = await mockRegistry(guarded(bearer, isToken, undefined, token));
  const made = open(registry.host).manifest('latest');
  if (isGood) expect((await made).sha256).toBe(DIGEST);
  else await expect(made).rejects.toMatchObject({ code: 'REGISTRY_LOGIN' });
});

test('a token is requested for all scopes so far, with the name of its user', async () => {
  const challenge = ({ method, headers }: IncomingMessage) => {
    const actions = method === 'POST' ? 'push' : 'pull';
    return `Bearer realm="http://${headers.host}/token",scope="repository:x:${actions}"`;
  };
  let tokens = 0;
  await using registry = await mockRegistry((request, response) => {
    if (request.url?.startsWith('/token')) {
      return response.end(JSON.stringify({ token: `t${++tokens}` }));
    }
    const wanted = request.method === 'POST' ? 'Bearer t2' : 'Bearer t1';
    if (request.headers.authorization !== wanted) {
      return response.writeHead(401, { 'www-authenticate': challenge(request) }).end();
    }
    if (request.method === 'POST') return response.writeHead(403).end();
    return give(response);
  });
  const opened = open(registry.host, { credentials: LOGIN });
  await opened.manifest('latest');
  const blob = { sha256: DIGEST, size: MANIFEST.length };
  await expect(opened.pushBlob(blob, contentOfBytes(MANIFEST))).rejects.toMatchObject({
    context: { status: 403 },
  });
  const asked = registry.seen
    .filter((line) => line.includes('/token'))
    .map((line) => Object.fromEntries(new URL(line.split(' ')[1] ?? '', 'http://h').searchParams));
  expect(asked).toEqual([
    { account: 'me', scope: 'repository:x:pull' },
    { account: 'me', scope: 'repository:x:pull,push' },
  ]);
});

test('a token that expires during a transfer is replaced, and the transfer continues', async () => {
  await using folder = await temporaryFolder();
  const bytes = noise(300_000, 'blob');
  const blob = { sha256: sha256Of(bytes), size: bytes.length };
  let token = 0;
  await using registry = await mockRegistry((request, response) => {
    if (request.url?.startsWith('/token')) {
      return response.end(JSON.stringify({ token: `t${++token}`, expires_in: 60 }));
    }
    if (request.headers.authorization !== `Bearer t${token}`) {
      return response.writeHead(401, { 'www-authenticate': bearer(request) }).end();
    }
    const start = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0);
    response.writeHead(start > 0 ? 206 : 200, {
      'content-length': bytes.length - start,
      'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}`,
    });
    if (start > 0) return response.end(bytes.subarray(start));
    token++; // earlier tokens are no longer valid
    return response.write(bytes.subarray(0, 100_000), () =>
      setTimeout(() => response.destroy(), 20),
    );
  });
  const path = join(folder.path, 'blob');
  await open(registry.host).fetchBlob(blob, path);
  expect((await readFile(path)).equals(bytes)).toBe(true);
  expect(registry.seen.filter((line) => line.startsWith('HEAD'))).toEqual([]);
});

test.each([429, 500, 502, 503, 504])('%i is retried at every step', async (status) => {
  await using folder = await temporaryFolder();
  const seen = new Set<string>();
  let uploaded = Buffer.alloc(0);
  await using registry = await mockRegistry((request, response) => {
    const key = `${request.method} ${request.url} ${request.headers.authorization ?? ''}`;
    if (!seen.has(key)) {
      seen.add(key);
      return response.writeHead(status, { 'retry-after': '0' }).end('{}');
    }
    return guarded(bearer, isToken, ({ method, url = '' }, answer) => {
      if (method === 'HEAD') return answer.writeHead(404).end();
      if (method === 'POST') return answer.writeHead(202, { location: '/v2/x/up/1' }).end();
      if (method === 'PUT') {
        if (url.includes('/up/')) uploaded = MANIFEST;
        return answer.writeHead(201).end();
      }
      return url.includes('/up/') ? answer.writeHead(204, { range: '0-0' }).end() : give(answer);
    })(request, response, 0);
  });
  const opened = open(registry.host);
  const blob = { sha256: DIGEST, size: MANIFEST.length };
  expect((await opened.manifest('latest')).sha256).toBe(DIGEST);
  expect(await opened.smallBlob(blob)).toEqual(MANIFEST);
  await opened.fetchBlob(blob, join(folder.path, 'blob'));
  expect(await opened.hasBlob(blob)).toBe(false);
  await opened.pushBlob(blob, contentOfBytes(MANIFEST));
  expect(uploaded).toEqual(MANIFEST);
  await opened.pushManifest('latest', MANIFEST, 'application/json');
});

test('documents that are compressed unasked are read, as skopeo does; bombs are not', async () => {
  const bomb = gzipSync(Buffer.alloc(64 << 20));
  await using registry = await mockRegistry(({ url = '' }, response) =>
    response
      .writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
      .end(url.includes('bomb') ? bomb : url.includes('plain') ? MANIFEST : gzipSync(MANIFEST)),
  );
  const opened = open(registry.host);
  expect((await opened.manifest('latest')).sha256).toBe(DIGEST);
  // A header that is wrong.
  expect((await opened.manifest('plain')).sha256).toBe(DIGEST);
  await expect(opened.manifest('bomb')).rejects.toMatchObject({ code: 'TOO_LARGE' });
});

test('a small answer that breaks off is requested again', async () => {
  await using registry = await mockRegistry((_request, response, count) => {
    if (count > 2) return give(response);
    response.writeHead(200, { 'content-length': MANIFEST.length });
    return response.write('{', () => setTimeout(() => response.destroy(), 5));
  });
  expect((await open(registry.host).manifest('latest')).sha256).toBe(DIGEST);
});

test('no retries for a registry that was never reached, or that asks for too long a wait', async () => {
  const began = performance.now();
  await expect(open('127.0.0.1:1', { retry: {} }).manifest('x')).rejects.toMatchObject({
    code: 'REGISTRY',
    message: expect.stringContaining('connection refused'),
  });
  await using registry = await mockRegistry((_request, response) =>
    response.writeHead(429, { 'retry-after': '99999' }).end(),
  );
  await expect(open(registry.host, { retry: {} }).manifest('x')).rejects.toMatchObject({
    context: { status: 429 },
    message: expect.stringContaining('99999 seconds'),
  });
  expect(registry.seen).toHaveLength(1);
  expect(performance.now() - began).toBeLessThan(20_000);
});

test('a storm of 429 comes to an end, at the registry or at its token server', async () => {
  const refuse: Answer = (_request, response) =>
    response.writeHead(429, { 'retry-after': '0' }).end('slow down');
  await using registry = await mockRegistry(refuse);
  await expect(open(registry.host).manifest('x')).rejects.toMatchObject({
    ...{ kind: 'io', code: 'REGISTRY', context: { status: 429 } },
    message: expect.stringMatching(/429 slow down; it asks to come back in 0 seconds$/),
    hint: expect.stringContaining('log in'),
  });
  expect(registry.seen).toHaveLength(5);

  const toToken = guarded(bearer, isToken);
  await using tokens = await mockRegistry((request, response, count) =>
    request.url?.startsWith('/token')
      ? refuse(request, response, count)
      : toToken(request, response, count),
  );
  await expect(open(tokens.host).manifest('x')).rejects.toMatchObject({
    ...{ kind: 'io', code: 'REGISTRY', context: { status: 429 } },
    message: expect.stringContaining('429'),
  });
  expect(tokens.seen.length).toBeLessThanOrEqual(10);
});

test('an error without end is cut short', async () => {
  for (const status of ['500 Oops', '403 No']) {
    await using flood = await rawServer((socket) =>
      endless(socket, `HTTP/1.1 ${status}\r\n\r\n`, Buffer.alloc(1 << 20, 'x')),
    );
    const error = await open(flood.url.slice(7))
      .manifest('x')
      .catch((reason: Error) => reason.message);
    expect(error).toMatch(/^the registry refuses to .*: \d+ x{10,300}$/);
  }
});

test('a manifest or a small blob without end is refused', async () => {
  await using flood = await rawServer((socket) =>
    endless(socket, 'HTTP/1.1 200 OK\r\n\r\n', Buffer.alloc(1 << 20, 'x')),
  );
  const opened = open(flood.url.slice(7));
  await expect(opened.manifest('x')).rejects.toMatchObject({ code: 'TOO_LARGE' });
  const blob = { sha256: DIGEST, size: 60 * 2 ** 40 };
  await expect(opened.smallBlob(blob)).rejects.toMatchObject({ code: 'TOO_LARGE' });
});

/** A registry with TLS under the name of reg.test, behind a proxy, and a client that trusts it by certs.d. */
async function withTls(folder: string, answer: Answer) {
  const tls = await selfSigned(folder);
  const registry = await mockRegistry(answer, tls);
  const proxy = await forwardProxy(Number(registry.host.split(':')[1]));
  const own = join(folder, '.config/containers/certs.d/reg.test');
  await mkdir(own, { recursive: true });
  await copyFile(tls.certPath, join(own, 'ca.crt'));
  const at = `http://${proxy.host}`;
  const env = { HOME: folder, https_proxy: at, http_proxy: at };
  return {
    ...{ registry, proxy, http: createHttp({ env }) },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}

test('an upload that is redirected to http is refused without sending login or blob', async () => {
  await using folder = await temporaryFolder();
  const blob = { sha256: DIGEST, size: MANIFEST.length };
  // At the start, after a chunk, and by a redirect of the final request.
  for (const step of ['POST', 'PATCH', 'PUT']) {
    await using site = await withTls(
      folder.path,
      guarded(
        () => 'Basic realm="r"',
        isBasic,
        ({ method = '' }, response) => {
          if (method === 'HEAD') return response.writeHead(404).end();
          if (step === 'PATCH' && method === 'PUT') return response.writeHead(413).end();
          const location = method === step ? 'http://reg.test/v2/x/up?s' : '/v2/x/up?s';
          const status = method === 'PUT' ? 307 : 202;
          return response.writeHead(status, { location }).end();
        },
      ),
    );
    const { http, proxy } = site;
    const opened = openRegistry(
      { host: 'reg.test', name: 'x', tag: 'l', digest: undefined },
      { ...QUICK, http, credentials: LOGIN, upload: { pause: 1, chunk: 8 } },
    );
    await expect(opened.pushBlob(blob, contentOfBytes(MANIFEST)), step).rejects.toThrow(
      'not encrypted',
    );
    expect(proxy.seen.filter((line) => !line.startsWith('CONNECT reg.test:443'))).toEqual([]);
  }
});

test('a registry with TLS: its token server must have it, too', async () => {
  await using folder = await temporaryFolder();
  for (const [realm, isGood] of [
    ['https://reg.test/token', true],
    ['http://reg.test/token', false],
    ['http://tokens.invalid/token', false],
  ] as const) {
    await using site = await withTls(
      folder.path,
      guarded(() => `Bearer realm="${realm}"`, isToken),
    );
    const { http, proxy } = site;
    const made = open('reg.test', { http, credentials: LOGIN }).manifest('latest');
    if (isGood) expect((await made).sha256).toBe(DIGEST);
    else await expect(made).rejects.toMatchObject({ code: 'REGISTRY_LOGIN' });
    expect(proxy.seen.filter((line) => !line.startsWith('CONNECT reg.test:443'))).toEqual([]);
  }
});

test('Docker Hub: its host, the library, and the login of docker and podman', async () => {
  await using folder = await temporaryFolder();
  await using registry = await mockRegistry(() => undefined);
  await using proxy = await forwardProxy(Number(registry.host.split(':')[1]));
  const env = { HOME: folder.path, http_proxy: `http://${proxy.host}` };
  for (const text of [
    'docker.io/fcos',
    'index.docker.io/library/fcos',
    'registry-1.docker.io/fcos',
  ]) {
    proxy.seen.length = 0;
    const reference = parseReference(text);
    expect(reference).toMatchObject({ host: 'docker.io', name: 'library/fcos' });
    const opened = openRegistry(reference, { plainHttp: true, http: createHttp({ env }) });
    await opened.manifest('latest');
    expect(proxy.seen).toEqual([
      'GET http://registry-1.docker.io/v2/library/fcos/manifests/latest registry-1.docker.io',
    ]);
    for (const key of [
      'https://index.docker.io/v1/',
      'index.docker.io',
      'docker.io',
      'docker.io/library',
      'docker.io/library/fcos',
      'registry-1.docker.io',
    ]) {
      const authFile = join(folder.path, 'auth.json');
      await writeFile(authFile, JSON.stringify({ auths: { [key]: { auth: LOGIN.basic } } }));
      expect(await findCredentials(reference, {}, { authFile }), key).toEqual(LOGIN);
    }
  }
  expect(parseReference('docker.io/acme/fcos:1')).toMatchObject({ name: 'acme/fcos' });
  for (const short of ['fcos', 'acme/fcos:1']) {
    expect(() => parseReference(short)).toThrow(
      expect.objectContaining({ hint: expect.stringContaining(`docker.io/${short}`) }),
    );
  }
});

test('storage that is signed for GET refuses HEAD, but the blob is found', async () => {
  await using storage = await mockRegistry(({ method }, response) =>
    method === 'HEAD' ? response.writeHead(403).end() : give(response),
  );
  await using registry = await mockRegistry(
    guarded(bearer, isToken, (_request, response) =>
      response.writeHead(307, { location: `${storage.url}/signed?X-Amz-Signature=s` }).end(),
    ),
  );
  const blob = { sha256: DIGEST, size: MANIFEST.length };
  const opened = open(registry.host, { credentials: LOGIN });
  expect(await opened.hasBlob(blob)).toBe(true);
  expect(await opened.smallBlob(blob)).toEqual(MANIFEST);
  expect(storage.seen.every((line) => line.endsWith(' -'))).toBe(true);
});

test('an upload to another origin gets no login', async () => {
  await using storage = await mockRegistry((_request, response) => response.writeHead(201).end());
  await using registry = await mockRegistry(
    guarded(
      () => 'Basic realm="r"',
      isBasic,
      ({ method }, response) =>
        method === 'HEAD'
          ? response.writeHead(404).end()
          : response.writeHead(202, { location: `${storage.url}/up?state=1` }).end(),
    ),
  );
  const blob = { sha256: DIGEST, size: MANIFEST.length };
  await open(registry.host, { credentials: LOGIN }).pushBlob(blob, contentOfBytes(MANIFEST));
  expect(storage.seen).toEqual([`PUT /up?state=1&digest=sha256:${DIGEST} -`]);
});

test('a token server without TLS gets no login, unless plain HTTP was requested', async () => {
  const challenges = () => 'Bearer realm="http://tokens.invalid/token",service="s"';
  await using registry = await mockRegistry(guarded(challenges, isToken));
  await expect(
    open(registry.host, { credentials: LOGIN }).manifest('latest'),
  ).rejects.toMatchObject({
    code: 'REGISTRY_LOGIN',
    message: expect.stringContaining('encrypted'),
  });
  // Now the token server is contacted, and its name does not exist.
  await expect(
    open(registry.host, { credentials: LOGIN, plainHttp: true }).manifest('latest'),
  ).rejects.toMatchObject({ code: 'REGISTRY', message: expect.stringContaining('token server') });
});

test('a refresh token is not forwarded to another origin', async () => {
  await using thief = await mockRegistry((_request, response) => response.end('{"token":"x"}'));
  await using registry = await mockRegistry((request, response, count) =>
    request.url?.startsWith('/token')
      ? response.writeHead(307, { location: `${thief.url}/` }).end()
      : guarded(bearer, isToken)(request, response, count),
  );
  await expect(
    open(registry.host, { credentials: { identityToken: 'r3fresh' } }).manifest('latest'),
  ).rejects.toThrow('redirects a login');
  expect(thief.seen).toEqual([]);
});
