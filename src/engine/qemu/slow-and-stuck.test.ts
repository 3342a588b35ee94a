import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Scenario } from '../../../test/support/fake-guest.ts';
import { nativeIso } from '../../../test/support/native-iso.ts';
import type { RehydrateError } from '../../core/errors.ts';
import { createQemuEngine } from './index.ts';

const GUEST = join(import.meta.dirname, '../../../test/support/fake-guest.ts');
const CONSOLES = join(import.meta.dirname, '../../../test/golden/consoles');

const MIB = 1 << 20;
const HEALTHY: Scenario = {
  log: '[    0.000000] Linux version 6.17\n',
  step: { written: MIB, read: MIB },
  pause: 20,
  size: 12 * MIB,
};

/** The error or undefined, and the notes, of a run with real processes around a guest that is not one. */
async function run(scenario: Partial<Scenario>, limits: object = {}) {
  const path = await mkdtemp(join(tmpdir(), 'slow-and-stuck-'));
  await using _ = { [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
  const qemu = join(path, 'qemu');
  const quoted = JSON.stringify({ ...HEALTHY, ...scenario }).replaceAll("'", "'\\''");
  const node = `exec '${process.execPath}' --no-warnings '${GUEST}' '${quoted}' "$@"`;
  await writeFile(qemu, `#!/bin/sh\n${node}\n`);
  await chmod(qemu, 0o755);
  const { iso } = await nativeIso(path);
  const [osmet] = iso.osmets;
  if (osmet === undefined) throw new Error('no osmet');
  const notes: string[] = [];
  const engine = createQemuEngine({ accel: 'tcg', logDir: join(path, 'logs'), qemu, ...limits });
  const started = performance.now();
  const error = await engine
    .regenerate({
      iso: { ...iso, kargs: 'quiet', kernel: iso.rootImage, initrd: iso.rootImage },
      disks: [{ osmet, output: join(path, 'metal.raw') }],
      progress: (event) => {
        if (event.type === 'note') notes.push(event.message);
      },
    })
    .then(() => undefined)
    .catch((error: RehydrateError) => error);
  return { error, notes, seconds: (performance.now() - started) / 1000 };
}

/** 6 s without progress, and 12 s instead of 300 s for a boot. */
const QUICKLY = { timeoutScale: 0.04, inactivitySeconds: 6 };

describe.concurrent('an unpack continues as long as bytes are written', {
  timeout: 120_000,
}, () => {
  test('slow: many times the limit in all', async () => {
    const slow = await run({ pause: 1300, step: { written: MIB, read: 0 } }, QUICKLY);
    expect(slow.error).toBeUndefined();
    expect(slow.seconds).toBeGreaterThan(15);
  });

  test('stuck half way, though it prints and makes requests', async () => {
    const { error, seconds } = await run(
      { stops: 6 * MIB, chatters: true, step: { written: MIB, read: 0 } },
      QUICKLY,
    );
    expect(error).toMatchObject({ code: 'VM_STUCK', context: { phase: 'unpack' } });
    expect(error?.message).toContain(`unpacking stopped after ${6 * MIB} bytes`);
    expect(seconds).toBeLessThan(60);
  });

  test('spins reading: ends once it has read the ISO twice', async () => {
    const { error, seconds } = await run(
      { stops: 0, step: { written: 0, read: 64 * MIB }, pause: 5 },
      QUICKLY,
    );
    expect(error?.code).toBe('VM_STUCK');
    expect(seconds).toBeLessThan(60);
  });

  test('reads drop by drop: ends', async () => {
    const step = { written: 0, read: 512 };
    const { error, seconds } = await run({ stops: 0, step, pause: 100 }, QUICKLY);
    expect(error?.code).toBe('VM_STUCK');
    expect(seconds).toBeLessThan(60);
  });

  test('writes in circles: ends', async () => {
    const step = { written: 8 * MIB, read: 0 };
    const { error, seconds } = await run({ size: 2 ** 50, step, pause: 5 }, QUICKLY);
    expect(error?.code).toBe('VM_STUCK');
    expect(seconds).toBeLessThan(60);
  });

  test('a boot has its limit, however much it prints', async () => {
    const { error } = await run({ ready: '', chatters: true }, QUICKLY);
    expect(error?.code).toBe('VM_TIMEOUT');
  });
});

describe.concurrent('a live system that complains and comes up', { timeout: 120_000 }, () => {
  test('is not a failure; each kind of complaint becomes one note', async () => {
    const log = await readFile(join(CONSOLES, 'chatty.txt'), 'utf8');
    const { error, notes } = await run({ log });
    expect(error).toBeUndefined();
    expect(notes.map((note) => /goes on: ([^:]+):/.exec(note)?.[1])).toEqual([
      'systemd generator failure',
      'systemd ordering cycle',
      'disk I/O error',
      'kernel oops',
      'slow initramfs',
      'out of memory',
    ]);
  });

  const MESSAGE = '[   44.123456] usb 1-1: new high-speed USB device number 2\n';
  test.each([
    ['by a kernel message', `localhost login: core (auto${MESSAGE}matic login)\n`],
    ['by several', `localhost login: c${MESSAGE.repeat(3)}ore (automatic lo${MESSAGE}gin)\n`],
    [
      'by systemd',
      'localhost login: core (aut[  OK  ] Started \x1b[1mchronyd\x1b[0m.\nomatic login)\n',
    ],
    ['by some service', 'localhost login: core (autfoo: bar\nomatic login)\n'],
  ])('its ready mark is cut %s', async (_, ready) => {
    expect((await run({ ready })).error).toBeUndefined();
  });

  test('each mark of the dialogue is cut, and so is the help text', async () => {
    expect((await run({ interrupt: MESSAGE })).error).toBeUndefined();
  });

  test('earlier complaints are reported if it fails later', async () => {
    const log = await readFile(join(CONSOLES, 'chatty.txt'), 'utf8');
    const { error } = await run({ log, stops: 0, step: { written: 0, read: 0 } }, QUICKLY);
    expect(error?.message).toMatch(
      /the guest complained before:\n( {2}\| .*\n)*? {2}\| kernel oops: .*Oops: /,
    );
  });

  test.each(['emergency.txt', 'panic.txt'])(
    '%s: a boot that has ended ends the run',
    async (name) => {
      const log = await readFile(join(CONSOLES, name), 'utf8');
      const { error } = await run({ log, ready: '' });
      expect(error).toMatchObject({ code: 'VM_GUEST_FAILED', context: { phase: 'boot' } });
    },
  );
});
