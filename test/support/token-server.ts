import { createPrivateKey, sign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { execa } from 'execa';

export interface TokenServer extends AsyncDisposable {
  readonly realm: string;
  /** PEM of the certificate that the registry must trust. */
  readonly certificate: string;
  /** `GET Basic bWU6c2VjcmV0` or `POST refresh_token=…`, one per request. */
  readonly seen: string[];
}

/** Accepted credentials. */
export interface TokenLogin {
  /** `user:password` in base64. */
  readonly basic: string;
  readonly identityToken: string;
}

/**
 * A token server like those of registries ("Token Authentication" of Docker's specification, and its OAuth2 form):
 * its JSON web tokens are signed with a key whose certificate the real registry checks.
 */
export async function tokenServer(folder: string, login: TokenLogin): Promise<TokenServer> {
  const key = join(folder, 'token.key');
  const certificate = join(folder, 'token.crt');
  await execa('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=test'],
    ...['-keyout', key, '-out', certificate],
  ]);
  const pem = await readFile(certificate, 'utf8');
  const x5c = [pem.replace(/-----[^-]*-----|\s/g, '')];
  const privateKey = createPrivateKey(await readFile(key));
  const tokenFor = (scope: string) => {
    const [type, name, actions = ''] = scope.split(':');
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      ...{ iss: 'test', aud: 'test', sub: 'me', jti: String(now), nbf: now - 10, exp: now + 60 },
      ...{ iat: now, access: [{ type, name, actions: actions.split(',') }] },
    };
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${part({ typ: 'JWT', alg: 'RS256', x5c })}.${part(claims)}`;
    const signature = sign('sha256', Buffer.from(signed), privateKey).toString('base64url');
    return `${signed}.${signature}`;
  };
  const seen: string[] = [];
  const server = createServer(async (request, response) => {
    const { wanted, proof } = await readRequest(request);
    seen.push(`${request.method} ${proof}`);
    const isMe = [`Basic ${login.basic}`, `refresh_token=${login.identityToken}`].includes(proof);
    response.statusCode = isMe ? 200 : 401;
    response.end(isMe ? JSON.stringify({ token: tokenFor(wanted.get('scope') ?? '') }) : '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    realm: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    certificate,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function readRequest(request: IncomingMessage) {
  if (request.method === 'POST') {
    const wanted = new URLSearchParams(await text(request));
    return { wanted, proof: `refresh_token=${wanted.get('refresh_token')}` };
  }
  const wanted = new URL(request.url ?? '', 'http://localhost').searchParams;
  return { wanted, proof: request.headers.authorization ?? 'nobody' };
}
