import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { IoError, UsageError } from '../../core/errors.ts';

export async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new IoError(`cannot listen on ${host} port ${port}: ${said}`, {
      code: 'LISTEN',
      context: { host, port },
      hint: 'choose another address with --listen',
      cause: error,
    });
  }
}

export function urlOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

/** `8080`, `127.0.0.1:8080`, `[::1]:8080`, `0.0.0.0:0`. Throws UsageError `LISTEN_ADDRESS`. */
export function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+)):)?(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3] ?? Number.NaN);
  if (Number.isNaN(port) || port > 65_535) {
    throw new UsageError(`${text} is no address to listen on`, {
      code: 'LISTEN_ADDRESS',
      hint: 'give a port, or host and port: 8080, 0.0.0.0:8080, [::1]:8080',
    });
  }
  return { host: match?.[1] ?? match?.[2] ?? '127.0.0.1', port };
}

const STATUS_OF: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** What is no HTTP gets an answer, too, if it can still be given. */
export function refuseMalformed(error: Error & { code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = STATUS_OF[error.code ?? ''] ?? '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
