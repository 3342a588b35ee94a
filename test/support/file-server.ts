import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FileServer extends AsyncDisposable {
  readonly url: string;
  /** `METHOD /path range`, in the order of the requests. */
  readonly requests: string[];
  /** The largest number of requests under way at the same time. */
  readonly most: () => number;
}

/** Misbehaviour of the server for a request; returns true if it has answered. */
export type Fault = (request: IncomingMessage, response: ServerResponse, body: Buffer) => boolean;

/** A real HTTP server of a few files, by path, with ranges (RFC 9110). */
export async function fileServer(
  files: ReadonlyMap<string, Buffer>,
  fault: Fault = () => false,
): Promise<FileServer> {
  const requests: string[] = [];
  let running = 0;
  let most = 0;
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    requests.push(`${method} ${url} ${headers.range ?? ''}`.trim());
    most = Math.max(most, ++running);
    response.once('close', () => running--);
    const body = files.get(decodeURIComponent(url.slice(1)));
    if (body === undefined) {
      response.writeHead(404).end();
      return;
    }
    if (fault(request, response, body)) return;
    const start = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
    if (start >= body.length && body.length > 0) {
      response.writeHead(416, { 'content-range': `bytes */${body.length}` }).end();
      return;
    }
    const range = `bytes ${start}-${body.length - 1}/${body.length}`;
    response.writeHead(headers.range ? 206 : 200, {
      'content-length': body.length - start,
      ...(headers.range ? { 'content-range': range } : {}),
    });
    response.end(body.subarray(start));
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    most: () => most,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}
