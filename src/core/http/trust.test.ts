import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { selfSigned } from '../../../test/support/tls.ts';

/** OpenSSL reads the variables of the process, so each environment is a process. */
const ASK = `
  import { createHttp } from '${import.meta.dirname}/client.ts';
  using http = createHttp({ env: process.env });
  try {
    using response = await http.request(process.argv[1]);
    console.log(response.status);
  } catch (error) {
    console.log(error.message);
  }`;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let server: ReturnType<typeof createServer>;
let cert: Buffer;
const at = (name: string) => join(folder.path, name);

beforeAll(async () => {
  folder = await temporaryFolder();
  const made = await selfSigned(folder.path);
  cert = made.cert;
  server = createServer(made, (_request, response) => response.end('hello'));
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  await mkdir(at('certs'));
  const { stdout: hash } = await execa('openssl', [
    'x509',
    '-hash',
    '-noout',
    '-in',
    made.certPath,
  ]);
  await writeFile(at(`certs/${hash}.0`), cert);
  await mkdir(at('none'));
  await selfSigned(at('none')).then(({ certPath }) => execa('cp', [certPath, at('other.crt')]));
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await folder[Symbol.asyncDispose]();
});

async function ask(env: Record<string, string>): Promise<string> {
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const clean = { PATH: process.env.PATH, HOME: folder.path, NODE_NO_WARNINGS: '1' };
  const argv = ['--input-type=module', '-e', ASK, url];
  return (await execa(process.execPath, argv, { env: { ...clean, ...env }, extendEnv: false }))
    .stdout;
}

test('a server of a private authority is trusted by the variables of OpenSSL, curl and Go', async () => {
  expect(await ask({ SSL_CERT_FILE: at('server.crt') })).toBe('200');
  expect(await ask({ SSL_CERT_DIR: at('certs') })).toBe('200');
  expect(await ask({ NODE_EXTRA_CA_CERTS: at('server.crt') })).toBe('200');
  expect(await ask({ SSL_CERT_FILE: at('other.crt'), NODE_EXTRA_CA_CERTS: at('server.crt') })).toBe(
    '200',
  );
});

test('and by nothing else', async () => {
  for (const env of [{}, { SSL_CERT_FILE: at('other.crt') }, { SSL_CERT_DIR: at('none') }]) {
    expect(await ask(env)).toMatch(/certificate|authority/i);
  }
});
