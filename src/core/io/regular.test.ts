import { once } from 'node:events';
import { appendFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { openRegular, readTail, readWhole } from './regular.ts';
import { openSource } from './source.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const at = (name: string) => join(folder.path, name);
beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

const SMALL = { limit: 10, what: 'the file' };

describe('anything but a regular file is refused at once', () => {
  const refused = { kind: 'format', code: 'NOT_A_FILE' };

  test.each([
    ['a pipe', 'a pipe', async (path: string) => void (await execa('mkfifo', [path]))],
    ['a folder', 'a folder', async (path: string) => void (await mkdir(path))],
    ['an endless device', 'a device', (path: string) => symlink('/dev/zero', path)],
    ['an empty device', 'a device', (path: string) => symlink('/dev/null', path)],
  ])('%s', async (_, kind, make) => {
    await make(at('x'));
    await expect(readWhole(at('x'), SMALL)).rejects.toMatchObject(refused);
    await expect(openRegular(at('x'))).rejects.toThrow(`not a regular file, but ${kind}`);
    await expect(openSource(at('x'))).rejects.toMatchObject(refused);
  });

  test('a socket', async () => {
    const server = createServer().listen(at('x'));
    await once(server, 'listening');
    await expect(readWhole(at('x'), SMALL)).rejects.toMatchObject(refused);
    server.close();
  });
});

describe('a file is read whole', () => {
  test('up to the limit', async () => {
    await writeFile(at('x'), '0123456789');
    expect(String(await readWhole(at('x'), SMALL))).toBe('0123456789');
    await appendFile(at('x'), '!');
    await expect(readWhole(at('x'), SMALL)).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: 'the file is too large: more than 10 bytes',
      context: { file: at('x') },
    });
  });

  test('even if it says that it is empty', async () => {
    const bytes = await readWhole('/proc/self/status', { limit: 1 << 20, what: 'the status' });
    expect(String(bytes)).toMatch(/^Name:/);
    // Megabytes, of which fstat(2) knows nothing.
    const endless = readWhole('/proc/kallsyms', { limit: 1000, what: 'the symbols' });
    await expect(endless).rejects.toMatchObject({ code: 'TOO_LARGE' });
  });

  test('unless it is empty or missing, or nothing waits for it any more', async () => {
    await writeFile(at('x'), '');
    expect(await readWhole(at('x'), SMALL)).toHaveLength(0);
    await expect(readWhole(at('y'), SMALL)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const signal = AbortSignal.abort();
    await expect(readWhole(at('x'), { ...SMALL, signal })).rejects.toMatchObject({
      kind: 'cancelled',
    });
  });
});

test('the tail of a file', async () => {
  await writeFile(at('x'), '0123456789');
  expect(String(await readTail(at('x'), 3))).toBe('789');
  expect(String(await readTail(at('x'), 30))).toBe('0123456789');
});
