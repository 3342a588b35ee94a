import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { anyOf, type Console, createConsole, MAX_LOG, pattern } from './console.ts';

let folder: string;
let replies: string[];
let lines: string[];
let serial: Console;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'console-'));
  replies = [];
  lines = [];
  serial = createConsole({
    logPath: join(folder, 'log'),
    reply: (data) => replies.push(data),
    onLine: (line) => lines.push(line),
  });
});
afterEach(async () => {
  serial.close();
  await rm(folder, { recursive: true });
});

const print = (text: string) => serial.receive(Buffer.from(text));

test('answers the terminal queries of systemd until stopped', async () => {
  print('\x1b[3;7Hab\x1b[6n\x1b[c');
  await delay(50);
  expect(replies.join('').replaceAll('\x1b', 'ESC')).toMatch(/^ESC\[3;9RESC\[\?\d/);
  serial.stopTerminal();
  const before = replies.length;
  print('\x1b[6n');
  await delay(50);
  expect(replies.length).toBe(before);
});

test('waits for text from a position on, across chunks', async () => {
  print('login: core\n');
  const from = serial.position();
  const wait = serial.waitFor(pattern(/login: (\w+)/), from);
  print('host lo');
  print('gin: root\n');
  expect((await wait)[1]).toBe('root');
  await expect(serial.waitFor(anyOf('nope', 'core'), 0)).resolves.toBe('core');
});

test('still finds text after more output than it keeps', async () => {
  const from = serial.position();
  const wait = serial.waitFor(anyOf('needle'), from);
  for (let i = 0; i < 20; i++) print(`${'x'.repeat(99)}\n`.repeat(400));
  print('needle\n');
  expect(await wait).toBe('needle');
  expect(serial.position()).toBe(20 * 400 * 100 + 7);
});

test('reports whole lines and keeps the last ones, without our marks', () => {
  print('one\r\ntwo\r\n\r\nthr');
  print(`ee\n${'0123456789abcdef01234567'}:0;\n\x1b[31mpart`);
  expect(lines).toEqual(['one', 'two', '', 'three', '0123456789abcdef01234567:0;']);
  expect(serial.lastLines(3)).toEqual(['two', 'three', 'part']);
});

test('a success in the same chunk comes before the complaint', async () => {
  const order: string[] = [];
  serial.close();
  serial = createConsole({
    logPath: join(folder, 'log2'),
    reply: () => {},
    onLine: (line) => order.push(line),
  });
  serial.waitFor({ match: (text) => (text.includes('done') ? order.push('match') : undefined) }, 0);
  print('done\nKernel panic\n');
  expect(order).toEqual(['match', 'done', 'Kernel panic']);
});

test('the log holds the raw bytes and has an end', async () => {
  print('\x1b[31mraw\r\n');
  const chunk = Buffer.alloc(1 << 20, 'y');
  for (let i = 0; i < 20; i++) serial.receive(chunk);
  const log = await readFile(join(folder, 'log'), 'utf8');
  expect(log.startsWith('\x1b[31mraw\r\n')).toBe(true);
  expect(log.length).toBeLessThan(MAX_LOG + 100);
  expect(log).toMatch(/log cut here\]\n$/);
});
