import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';

export interface ForwardProxy extends AsyncDisposable {
  readonly host: string;
  readonly seen: string[];
}

/**
 * A forward proxy, which may require a login. It answers http requests itself, and every tunnel leads to one port on
 * loopback, so that a server there can have any name.
 */
export async function forwardProxy(to: number, login?: string): Promise<ForwardProxy> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers.host}`);
    if (login && request.headers['proxy-authorization'] !== login) response.writeHead(407).end();
    else response.end('by proxy');
  });
  server.on('connect', (request, socket) => {
    seen.push(`CONNECT ${request.url}`);
    if (login && request.headers['proxy-authorization'] !== login) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
      return;
    }
    const onward = connect(to, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.pipe(onward).pipe(socket);
    });
    socket.on('error', () => onward.destroy());
    socket.on('close', () => onward.destroy());
    onward.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        // The server no longer tracks its tunnels, but they keep it open.
        setTimeout(resolve, 200).unref();
      });
    },
  };
}
