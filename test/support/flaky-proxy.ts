import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * What happens to a request: the proxy passes it on, cuts it after some bytes of its body, answers it itself,
 * or passes it on but loses the response.
 */
export type Fate =
  | 'pass'
  | { readonly cutAfter: number }
  | { readonly status: number }
  | { readonly answerLost: number };

export interface FlakyProxy extends AsyncDisposable {
  /** `127.0.0.1:5001`. */
  readonly host: string;
  /** `PATCH 1024`: method and length of every request with a body. */
  readonly seen: string[];
}

/** A reverse proxy in front of a registry; `fate` is asked for each request in turn. */
export async function flakyProxy(
  upstream: string,
  fate: (method: string, length: number) => Fate,
): Promise<FlakyProxy> {
  const seen: string[] = [];
  const server = createServer((incoming, outgoing) => {
    const length = Number(incoming.headers['content-length'] ?? 0);
    const { method = 'GET' } = incoming;
    if (method !== 'GET' && method !== 'HEAD') seen.push(`${method} ${length}`);
    const what = fate(method, length);
    if (what !== 'pass' && 'status' in what) {
      incoming.resume();
      incoming.on('end', () => outgoing.writeHead(what.status).end('too bad'));
      return;
    }
    forward(upstream, incoming, outgoing, what);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function forward(
  upstream: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  fate: Exclude<Fate, { status: number }>,
): void {
  const [hostname, port] = upstream.split(':');
  const { method, url: path, headers } = incoming;
  // The client's Host header stays, so that the registry's locations lead through this proxy.
  const onward = request({ hostname, port, method, path, headers }, (answer) => {
    if (fate !== 'pass' && 'answerLost' in fate) {
      answer.resume();
      outgoing.writeHead(fate.answerLost).end('too late');
      return;
    }
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(outgoing);
  });
  onward.on('error', () => incoming.socket.destroy());
  if (fate === 'pass' || !('cutAfter' in fate)) {
    incoming.pipe(onward);
    return;
  }
  const { cutAfter } = fate;
  let done = 0;
  incoming.on('data', (bytes: Buffer) => {
    onward.write(bytes.subarray(0, Math.max(0, cutAfter - done)));
    done += bytes.length;
    if (done < cutAfter) return;
    onward.destroy();
    incoming.socket.destroy();
  });
}
