import { once } from 'node:events';
import { globSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { endFlag, endThreads } from './ending.ts';

const ending = JSON.stringify(new URL('./ending.ts', import.meta.url).href);
const start = (body: string) => {
  const flag = endFlag();
  const script = `
    import { parentPort, workerData } from 'node:worker_threads';
    import { receive, throwIfEnding } from ${ending};
    const flag = workerData;
    ${body}`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(script)}`);
  return { worker: new Worker(url, { workerData: flag }), flag };
};

test.each([
  ['that waits', 'receive(parentPort, flag, () => {})'],
  ['at work', 'try { for (;;) throwIfEnding(flag); } catch { process.exitCode = 7; }'],
  ['that has ended', ''],
])(
  'a thread %s ends, at any time of its life',
  async (_, body) => {
    for (const delay of [0, 1, 20, 200, 1000]) {
      const { worker, flag } = start(body);
      await sleep(delay);
      await endThreads([worker], flag);
      expect(worker.threadId).toBe(-1);
    }
  },
  60_000,
);

test('a thread that must end starts no further work', async () => {
  const { worker, flag } = start(
    'receive(parentPort, flag, () => parentPort.postMessage("begun"), () => parentPort.postMessage("closed"))',
  );
  const messages: unknown[] = [];
  worker.on('message', (message) => messages.push(message));
  await once(worker, 'online');
  Atomics.store(flag, 0, 1);
  for (let i = 0; i < 5; i++) worker.postMessage('work');
  await endThreads([worker], flag);
  expect(messages).toEqual(['closed']);
});

test('no thread is stopped in the middle: that can abort the process', () => {
  const users = globSync('src/**/*.ts')
    .filter((path) => !path.endsWith('.test.ts'))
    .filter((path) => /\.terminate\(/.test(readFileSync(path, 'utf8')));
  expect(users).toEqual(['src/core/threads/ending.ts']);
});
