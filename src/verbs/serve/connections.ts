import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** Connections at a time, where the limit of open files does not ask for fewer. */
const MAX_CONNECTIONS = 1024;
/** Files that are open besides: bundle, images in the making, libraries. */
const OTHER_FILES = 64;
/** Milliseconds between two looks at the connections. */
const LOOK = 1000;
/** Milliseconds within which a client must read some of the data sent to it. */
const STALL = 60_000;
/** Bytes per second that a client must read on average, after {@link STALL}. */
const SLOWEST = 4096;

export interface ConnectionLimits {
  /** Connections at a time; derived from the limit of open files if undefined. */
  readonly max?: number | undefined;
  readonly stall?: number | undefined;
}

/** State of a connection. */
interface Connection {
  readonly socket: Socket;
  /** Since when nothing is under way; undefined while a request is. */
  idleSince: number | undefined;
  /** Since when a body is being sent; undefined while there is none. */
  sendingSince: number | undefined;
  /** Bytes of that body that the client has taken, and when some were last taken. */
  taken: number;
  lastTaken: number;
}

export interface Connections extends Disposable {
  /** A request has come on this connection. */
  begin(socket: Socket): void;
  /** A body is being sent from now on. */
  sending(socket: Socket): void;
  /** So much of it has been taken. */
  took(socket: Socket, bytes: number): void;
  /** The request is over. */
  done(socket: Socket): void;
}

/**
 * Keeps a server available: a client that does not read the data sent to it is disconnected, and if there are
 * as many connections as there may be, a new one takes the place of one that is idle or of the slowest reader. Clients
 * that wait for an image to be made are not slow.
 */
export function limitConnections(server: Server, limits: ConnectionLimits = {}): Connections {
  const { max = maxConnections(), stall = STALL } = limits;
  const open = new Map<Socket, Connection>();
  server.on('connection', (socket: Socket) => {
    if (open.size >= max) evict(open);
    const now = performance.now();
    open.set(socket, {
      ...{ socket, idleSince: now, sendingSince: undefined, taken: 0, lastTaken: now },
    });
    socket.once('close', () => open.delete(socket));
  });
  const timer = setInterval(
    () => {
      const now = performance.now();
      for (const { socket, sendingSince, taken, lastTaken } of open.values()) {
        if (sendingSince === undefined) continue;
        const seconds = (now - sendingSince) / 1000;
        const isSlow = now - sendingSince > stall && taken < SLOWEST * seconds;
        if (isSlow || now - lastTaken > stall) socket.destroy();
      }
    },
    Math.min(LOOK, stall),
  );
  timer.unref();
  const change = (socket: Socket, how: (connection: Connection) => void) => {
    const connection = open.get(socket);
    if (connection) how(connection);
  };
  return {
    begin: (socket) =>
      change(socket, (one) => {
        one.idleSince = undefined;
      }),
    sending: (socket) =>
      change(socket, (one) => {
        one.sendingSince = performance.now();
        one.lastTaken = one.sendingSince;
        one.taken = 0;
      }),
    took: (socket, bytes) =>
      change(socket, (one) => {
        one.taken += bytes;
        one.lastTaken = performance.now();
      }),
    done: (socket) =>
      change(socket, (one) => {
        one.idleSince = performance.now();
        one.sendingSince = undefined;
      }),
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/** Makes room for another connection: closes the longest idle one, else the slowest reader, else the newest. */
function evict(open: ReadonlyMap<Socket, Connection>): void {
  const all = [...open.values()].filter(({ socket }) => !socket.destroyed);
  const now = performance.now();
  const idle = all.filter(({ idleSince }) => idleSince !== undefined);
  const sending = all.filter(({ sendingSince }) => sendingSince !== undefined);
  const rate = ({ taken, sendingSince = now }: Connection) =>
    taken / Math.max(1, now - sendingSince);
  const by = (of: (one: Connection) => number) => (a: Connection, b: Connection) => of(a) - of(b);
  const victim =
    idle.sort(by(({ idleSince = now }) => idleSince))[0] ?? sending.sort(by(rate))[0] ?? all.at(-1);
  victim?.socket.destroy();
}

/** Each connection may have an image open besides its socket. */
function maxConnections(): number {
  const files = openFilesLimit();
  return Math.max(8, Math.min(MAX_CONNECTIONS, Math.floor((files - OTHER_FILES) / 2)));
}

/** proc_pid_limits(5): the soft limit of RLIMIT_NOFILE. */
function openFilesLimit(): number {
  try {
    const text = readFileSync('/proc/self/limits', 'utf8');
    return Number(/^Max open files\s+(\d+)/m.exec(text)?.[1] ?? 1024);
  } catch {
    return 1024;
  }
}
