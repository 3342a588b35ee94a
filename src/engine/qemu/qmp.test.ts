import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { listenForQmp, type QmpEvent, queryDiskActivity, queryStatus } from './qmp.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qmp-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** A QEMU's end of the line that answers as told. */
async function dial(answer: (command: { execute: string; id: number }) => string | undefined) {
  const path = join(folder, 'qmp.sock');
  const events: QmpEvent[] = [];
  const errors: unknown[] = [];
  const listener = await listenForQmp(path, {
    onEvent: (event) => events.push(event),
    onError: (error) => errors.push(error),
  });
  const qemu: Socket = connect(path);
  qemu.setEncoding('utf8');
  qemu.on('error', () => {});
  qemu.on('data', (chunk: string) => {
    for (const line of chunk.split('\n').filter(Boolean)) {
      const command = JSON.parse(line);
      const reply =
        command.execute === 'qmp_capabilities'
          ? `{"return":{},"id":${command.id}}`
          : answer(command);
      if (reply !== undefined) qemu.write(`${reply}\r\n`);
    }
  });
  qemu.write('{"QMP":{"version":{},"capabilities":["oob"]}}\r\n');
  return { listener, qemu, events, errors, [Symbol.dispose]: () => listener.close() };
}

test('negotiates, executes, delivers events between answers', async () => {
  using line = await dial(({ execute, id }) =>
    execute === 'query-status'
      ? `{"event":"STOP","timestamp":{"seconds":1,"microseconds":2}}\r\n{"return":{"status":"internal-error"},"id":${id}}`
      : `{"error":{"class":"CommandNotFound","desc":"no ${execute}"},"id":${id}}`,
  );
  const qmp = await line.listener.connected;
  expect(await queryStatus(qmp)).toBe('internal-error');
  expect(line.events).toMatchObject([{ event: 'STOP', data: {} }]);
  await expect(qmp.execute('nonsense')).rejects.toThrow('CommandNotFound: no nonsense');
});

test('reads block statistics, and refuses malformed ones', async () => {
  const disk = (name: string, wr: number) =>
    `{"node-name":"${name}","device":"","stats":{"rd_operations":3,"rd_bytes":4096,"wr_operations":${wr},"wr_bytes":${wr * 512}}}`;
  let broken = false;
  using line = await dial(({ id }) =>
    broken
      ? `{"return":[{"stats":{}}],"id":${id}}`
      : `{"return":[${disk('iso', 0)},${disk('m', 4)}],"id":${id}}`,
  );
  const qmp = await line.listener.connected;
  const activity = await queryDiskActivity(qmp);
  expect(activity.requests).toBe(10);
  expect(activity.read).toBe(8192);
  expect(activity.written.get('m')).toBe(2048);
  broken = true;
  await expect(queryDiskActivity(qmp)).rejects.toThrow();
});

test.each([
  ['no JSON', 'hello\r\n'],
  ['no message of QMP', '{"surprise":1}\r\n'],
  ['a line without end', `"${'x'.repeat((1 << 20) + 2)}`],
])('%s ends the connection with an error', async (_, sent) => {
  using line = await dial(() => undefined);
  const qmp = await line.listener.connected;
  const pending = qmp.execute('query-status');
  line.qemu.write(sent);
  await expect(pending).rejects.toThrow(/QMP/);
  expect(line.errors).toHaveLength(1);
  await expect(qmp.execute('query-status')).rejects.toThrow('closed');
});

test('the end of QEMU fails pending commands', async () => {
  using line = await dial(() => undefined);
  const qmp = await line.listener.connected;
  const pending = qmp.execute('quit');
  line.qemu.destroy();
  await expect(pending).rejects.toThrow(/closed|ECONNRESET/);
});
