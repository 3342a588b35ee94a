import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { IoError, UsageError } from '../../core/errors.ts';

/** An address; port 0 selects any free one. Or a socket that listens already: systemd's socket activation. */
export type ListenAt = { readonly host: string; readonly port: number } | { readonly fd: number };

export async function listen(server: Server, at: ListenAt): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(at, resolve);
    });
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const where = 'fd' in at ? `the socket ${at.fd}` : `${at.host} port ${at.port}`;
    throw new IoError(`cannot listen on ${where}: ${said}`, {
      code: 'LISTEN',
      context: { ...at },
      hint: 'choose another address with --listen',
      cause: error,
    });
  }
}

export function urlOf(server: Server): string {
  const at = server.address() as AddressInfo | string;
  if (typeof at === 'string') return `http://localhost (${at})`;
  const { address, family, port } = at;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

/** sd_listen_fds(3): the first socket that the service manager passes. */
const FIRST_SOCKET = 3;

/**
 * The socket that systemd has opened for this process; undefined if there is none. Throws UsageError `LISTEN_SOCKETS`
 * for several, of which all but one would never be answered.
 */
export function inheritedSocket(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): { fd: number } | undefined {
  const { LISTEN_PID: wanted, LISTEN_FDS: count } = env;
  if (count === undefined || wanted !== String(pid)) return undefined;
  if (count === '1') return { fd: FIRST_SOCKET };
  throw new UsageError(`the service manager passes ${count} sockets`, {
    code: 'LISTEN_SOCKETS',
    hint: 'give the socket unit exactly one ListenStream=',
  });
}

/** `8080`, `127.0.0.1:8080`, `[::1]:8080`, `0.0.0.0:0`. Throws UsageError `LISTEN_ADDRESS`. */
export function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+)):)?(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3] ?? Number.NaN);
  if (Number.isNaN(port) || port > 65_535) {
    throw new UsageError(`${text} is not an address to listen on`, {
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

/** Answers even invalid HTTP, if the connection still allows it. */
export function refuseMalformed(error: Error & { code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = STATUS_OF[error.code ?? ''] ?? '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
