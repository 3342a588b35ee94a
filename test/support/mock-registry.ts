import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface MockRegistry extends AsyncDisposable {
  readonly host: string;
  readonly url: string;
  /** `METHOD /path authorization`, in the order of the requests. */
  readonly seen: string[];
}

/** A server controlled by the test, for behaviour that no real registry can be made to show. */
export async function mockRegistry(
  answer: (request: IncomingMessage, response: ServerResponse, count: number) => unknown,
  tls?: { readonly key: Buffer; readonly cert: Buffer },
): Promise<MockRegistry> {
  const seen: string[] = [];
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    const { method, url, headers } = request;
    seen.push(`${method} ${url} ${headers.authorization ?? '-'}`);
    request.resume();
    request.once('end', () => answer(request, response, seen.length));
  };
  const server = tls ? createTlsServer(tls, listener) : createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    ...{ host, seen, url: `${tls ? 'https' : 'http'}://${host}` },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
