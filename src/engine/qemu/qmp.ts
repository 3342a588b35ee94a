import { createServer, type Socket } from 'node:net';
import * as v from 'valibot';

/**
 * A small client of QEMU's machine protocol (docs/interop/qmp-spec): one JSON object a line. QEMU runs an
 * untrusted guest, so its messages are not trusted either: lines have a limit and every message a schema.
 */
const Message = v.union([
  v.object({ QMP: v.looseObject({}) }),
  v.object({ event: v.string(), data: v.optional(v.looseObject({}), {}) }),
  v.object({ return: v.unknown(), id: v.number() }),
  v.object({ error: v.object({ class: v.string(), desc: v.string() }), id: v.number() }),
]);
const MAX_LINE = 1 << 20;

export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Qmp {
  execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown>;
  close(): void;
}

export interface QmpListener {
  /** QEMU's connection, negotiated. Rejects only with a protocol error: race it with QEMU's exit. */
  readonly connected: Promise<Qmp>;
  close(): void;
}

/** Listens on `path` (at most 107 bytes) for one QEMU. */
export async function listenForQmp(
  path: string,
  handlers: { onEvent: (event: QmpEvent) => void; onError: (error: unknown) => void },
): Promise<QmpListener> {
  const server = createServer();
  const connected = new Promise<Qmp>((resolve, reject) => {
    server.once('connection', (socket) => {
      server.close();
      const { qmp, greeted } = attach(socket, handlers);
      greeted
        .then(() => qmp.execute('qmp_capabilities'))
        .then(() => resolve(qmp))
        .catch(reject);
    });
  });
  connected.catch(() => {});
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  return {
    connected,
    close() {
      server.close();
      connected.then((qmp) => qmp.close()).catch(() => {});
    },
  };
}

function attach(
  socket: Socket,
  handlers: { onEvent: (event: QmpEvent) => void; onError: (error: unknown) => void },
): { qmp: Qmp; greeted: Promise<void> } {
  const pending = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  const greeting = Promise.withResolvers<void>();
  greeting.promise.catch(() => {});
  let nextId = 1;
  let buffer = '';

  const fail = (error: Error) => {
    greeting.reject(error);
    for (const waiter of pending.values()) waiter.reject(error);
    pending.clear();
    socket.destroy();
  };

  const onMessage = (line: string) => {
    const message = v.parse(Message, JSON.parse(line));
    if ('QMP' in message) return greeting.resolve();
    if ('event' in message) return handlers.onEvent(message);
    const waiter = pending.get(message.id);
    pending.delete(message.id);
    if ('error' in message)
      waiter?.reject(new Error(`${message.error.class}: ${message.error.desc}`));
    else waiter?.resolve(message.return);
  };

  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    buffer += chunk;
    try {
      for (let end = buffer.indexOf('\n'); end >= 0; end = buffer.indexOf('\n')) {
        const line = buffer.slice(0, end);
        buffer = buffer.slice(end + 1);
        if (line.trim() !== '') onMessage(line);
      }
      if (buffer.length > MAX_LINE) throw new Error(`QMP line over ${MAX_LINE} bytes`);
    } catch (error) {
      handlers.onError(error);
      fail(new Error('QMP protocol error', { cause: error }));
    }
  });
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('QMP connection closed')));

  const execute = (command: string, args?: Readonly<Record<string, unknown>>) => {
    const id = nextId++;
    return new Promise<unknown>((resolve, reject) => {
      if (socket.destroyed) return reject(new Error('QMP connection closed'));
      pending.set(id, { resolve, reject });
      socket.write(`${JSON.stringify({ execute: command, arguments: args ?? {}, id })}\n`);
    });
  };
  return { qmp: { execute, close: () => socket.destroy() }, greeted: greeting.promise };
}

const BlockStats = v.array(
  v.looseObject({
    'node-name': v.optional(v.string(), ''),
    stats: v.looseObject({
      rd_operations: v.number(),
      wr_operations: v.number(),
      rd_bytes: v.number(),
      wr_bytes: v.number(),
    }),
  }),
);

export interface DiskActivity {
  /** Requests of all disks since the start, only to detect activity. */
  readonly requests: number;
  /** Bytes that the guest read, of all disks. */
  readonly read: number;
  /** Bytes that the guest wrote, by block node. */
  readonly written: ReadonlyMap<string, number>;
}

/** `query-blockstats`, reduced to the fields that the engine watches. */
export async function queryDiskActivity(qmp: Qmp): Promise<DiskActivity> {
  const disks = v.parse(BlockStats, await qmp.execute('query-blockstats'));
  return {
    requests: disks.reduce((sum, { stats }) => sum + stats.rd_operations + stats.wr_operations, 0),
    read: disks.reduce((sum, { stats }) => sum + stats.rd_bytes, 0),
    written: new Map(disks.map((disk) => [disk['node-name'], disk.stats.wr_bytes])),
  };
}

/** `query-status`: `running`, `paused`, `internal-error`, `guest-panicked`, `io-error`… */
export async function queryStatus(qmp: Qmp): Promise<string> {
  return v.parse(v.looseObject({ status: v.string() }), await qmp.execute('query-status')).status;
}

const Chardevs = v.array(v.looseObject({ label: v.string(), filename: v.string() }));
/** The file name that QEMU reports for a pseudo-terminal. */
const PTY = /^pty:(\/dev\/\S{1,200})$/;

/** The path of a pseudo-terminal that QEMU has made. Throws if the chardev is of another kind. */
export async function queryTerminal(qmp: Qmp, label: string): Promise<string> {
  const chardevs = v.parse(Chardevs, await qmp.execute('query-chardev'));
  const filename = chardevs.find((one) => one.label === label)?.filename ?? 'none';
  const path = PTY.exec(filename)?.[1];
  if (path === undefined) throw new Error(`QEMU's console is not a terminal: ${filename}`);
  return path;
}
