import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { RehydrateError } from '../../src/core/errors.ts';
import type { ProgressEvent } from '../../src/core/progress/progress.ts';
import { probeKvm } from '../../src/engine/qemu/accel.ts';
import { createQemuEngine, type QemuEngineOptions } from '../../src/engine/qemu/index.ts';
import type { LiveIso } from '../../src/formats/iso/live-iso.ts';
import { openLiveIso } from '../../src/formats/iso/open.ts';
import { qemusWith } from './support/cli.ts';
import { pick } from './support/fixture.ts';

/**
 * Guests and QEMUs that fail, with real processes: the fixture's own kernel under kernel arguments
 * that make it panic or hang, and wrappers around QEMU that break where a bad KVM would.
 */
const TMPDIR = tmpdir();
let iso: LiveIso;
let folder: string;
beforeAll(async () => {
  iso = await openLiveIso(pick('metal', 'iso').released);
});
beforeEach(async () => {
  folder = await mkdtemp(join(TMPDIR, 'engine-faults-'));
  process.env.TMPDIR = join(folder, 'tmp');
  await mkdir(process.env.TMPDIR);
});
afterAll(() => {
  process.env.TMPDIR = TMPDIR;
});
afterEach(async () => {
  await execa('umount', [join(folder, 'out')], { reject: false });
  await rm(folder, { recursive: true, force: true });
});

interface Run {
  readonly engine?: Partial<QemuEngineOptions>;
  /** Kernel arguments to add to the ISO's own. */
  readonly kargs?: string;
  readonly osmet?: string;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: ProgressEvent) => void;
}

/** Regenerates metal into `folder/out` and returns the error that this must end with. */
async function failing(run: Run): Promise<RehydrateError> {
  const metal = iso.osmets.find((osmet) => osmet.variant === 'metal');
  if (!metal) throw new Error('the fixture ISO has no metal osmet');
  await mkdir(join(folder, 'out'), { recursive: true });
  const engine = createQemuEngine({ accel: 'tcg', logDir: join(folder, 'logs'), ...run.engine });
  const osmet = { ...metal, name: run.osmet ?? metal.name };
  try {
    await engine.regenerate({
      iso: { ...iso, kargs: `${iso.kargs} ${run.kargs ?? ''}` },
      disks: [{ osmet, output: join(folder, 'out', 'metal.raw') }],
      ...(run.signal ? { signal: run.signal } : {}),
      progress: run.onEvent ?? (() => {}),
    });
  } catch (error) {
    return error as RehydrateError;
  }
  throw new Error('the engine succeeded');
}

/** No QEMU with our disk, no output, no temporary file. */
async function expectNothingLeft(): Promise<void> {
  expect(qemusWith(folder)).toEqual([]);
  expect(await readdir(join(folder, 'out'))).toEqual([]);
  expect(await readdir(join(folder, 'tmp'))).toEqual([]);
}

async function expectLog(error: RehydrateError): Promise<string> {
  const path = String(error.context.consoleLog);
  expect(error.message).toContain(path);
  return readFile(path, 'utf8');
}

/** An executable that takes the place of QEMU; `$REAL` in it is the real one. */
async function fakeQemu(script: string): Promise<string> {
  const path = join(folder, 'qemu');
  await writeFile(path, `#!/bin/sh\nREAL=qemu-system-${iso.arch}\n${script}\nexec $REAL "$@"\n`);
  await chmod(path, 0o755);
  return path;
}

const onKvm = (action: string) => `case " $* " in *" -accel kvm "*) ${action} ;; esac`;
const BROKEN_KVM = [
  [
    'aborts',
    onKvm('echo "qemu: error: failed to set MSR 0x10a to 0xc000069" >&2; kill -ABRT $$'),
    /failed to set MSR 0x10a/,
  ],
  ['exits at once', onKvm('exit 1'), /before the guest spoke/],
  ['says nothing', onKvm('exec sleep 600'), /no sign of life/],
  [
    'stops with an internal error',
    onKvm('(sleep 1; echo "KVM internal error. Suberror: 1" >&2; kill -9 $$) & exec sleep 600'),
    /KVM internal error/,
  ],
] as const;

describe.skipIf((await probeKvm()) !== undefined)('a KVM that opens and dies', () => {
  test.each(BROKEN_KVM)('QEMU %s: auto says so and goes on under TCG', async (_, script, words) => {
    const abort = new AbortController();
    const notes: string[] = [];
    let boots = 0;
    const error = await failing({
      engine: { accel: 'auto', qemu: await fakeQemu(script), inactivitySeconds: 5 },
      signal: abort.signal,
      onEvent: (event) => {
        if (event.type === 'note') notes.push(event.message);
        if (event.type === 'phase' && event.phase === 'boot' && ++boots === 2) abort.abort();
      },
    });
    expect(boots).toBe(2);
    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatch(words);
    expect(notes[0]).toContain('TCG');
    expect(error.kind).toBe('cancelled');
    await expectNothingLeft();
  });

  test('--accel kvm is an error instead', async () => {
    const [, script] = BROKEN_KVM[0];
    const error = await failing({ engine: { accel: 'kvm', qemu: await fakeQemu(script) } });
    expect(error).toMatchObject({ kind: 'engine', code: 'KVM_FAILED' });
    expect(error.message).toMatch(/failed to set MSR 0x10a/);
    expect(await expectLog(error)).toContain('failed to set MSR');
    expect(error.hint).toContain('--accel');
    await expectNothingLeft();
  });
});

test('a kernel panic, by KVM or TCG, whichever this host can do', async () => {
  const error = await failing({ engine: { accel: 'auto' }, kargs: 'rdinit=/nonexistent' });
  expect(error).toMatchObject({
    kind: 'engine',
    code: 'VM_GUEST_FAILED',
    context: { phase: 'boot' },
  });
  expect(error.message).toMatch(/kernel panic: .*Kernel panic - not syncing/);
  expect(error.message).toMatch(/last console lines:\n( {2}\| .*\n){5,15}console log: /);
  expect(await expectLog(error)).toContain('Kernel panic - not syncing');
  await expectNothingLeft();
});

test('a guest that goes silent', async () => {
  const started = performance.now();
  const error = await failing({
    kargs: 'rdinit=/bin/busybox sleep 9999',
    engine: { inactivitySeconds: 15 },
  });
  expect(error).toMatchObject({ kind: 'engine', code: 'VM_SILENT', context: { phase: 'boot' } });
  expect(error.message).toContain('for 15 s');
  expect(performance.now() - started).toBeLessThan(180_000);
  expect(await expectLog(error)).toContain('busybox');
  await expectNothingLeft();
});

test('a QEMU that gives up', async () => {
  const script = 'case " $* " in *" -kernel "*) echo "qemu: no such machine" >&2; exit 1 ;; esac';
  const error = await failing({ engine: { qemu: await fakeQemu(script) } });
  expect(error).toMatchObject({ kind: 'engine', code: 'VM_EXITED' });
  expect(error.message).toMatch(/status 1[\s\S]*\| qemu: no such machine/);
  await expectNothingLeft();
});

test('a QEMU that is not there, and one that is too old', async () => {
  const missing = await failing({ engine: { qemu: join(folder, 'nowhere') } });
  expect(missing).toMatchObject({ kind: 'tool', code: 'QEMU_MISSING' });
  expect(missing.hint).toMatch(/install qemu-system-/);
  const qemu = await fakeQemu('echo "QEMU emulator version 5.2.0 (Debian)"; exit 0');
  expect(await failing({ engine: { qemu } })).toMatchObject({ kind: 'tool', code: 'QEMU_TOO_OLD' });
});

test('an ISO whose live system lacks the osmet', async () => {
  const error = await failing({ osmet: 'another-metal.x86_64.osmet' });
  expect(error).toMatchObject({
    kind: 'engine',
    code: 'VM_NO_OSMET',
    context: { phase: 'unpack' },
  });
  expect(error.message).toContain('no another-metal.x86_64.osmet in /run/coreos-installer/osmet');
  await expectNothingLeft();
});

test.skipIf(process.getuid?.() !== 0)('a full disk', async () => {
  const out = join(folder, 'out');
  await mkdir(out);
  await execa('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'none', out]);
  const error = await failing({});
  expect(error).toMatchObject({ kind: 'io', code: 'DISK_FULL', context: { phase: 'unpack' } });
  expect(error.message).toContain(join(out, 'metal.raw'));
  await expectNothingLeft();
});

test('SIGKILL of the parent takes QEMU along', async () => {
  const script = `
    import { createQemuEngine } from ${JSON.stringify(resolve('src/engine/qemu/index.ts'))};
    import { openLiveIso } from ${JSON.stringify(resolve('src/formats/iso/open.ts'))};
    const [path, folder] = process.argv.slice(2);
    const iso = await openLiveIso(path);
    await createQemuEngine({ accel: 'tcg', logDir: folder }).regenerate({
      iso, disks: [{ osmet: iso.osmets[0], output: folder + '/metal.raw' }] });`;
  const file = join(folder, 'parent.ts');
  await writeFile(file, script);
  const parent = spawn(process.execPath, [file, iso.path, folder], {
    stdio: 'inherit',
    env: { ...process.env, TMPDIR: folder },
  });
  while (qemusWith(folder).length === 0) await delay(100);
  await delay(2_000);
  expect(qemusWith(folder)).toHaveLength(1);
  parent.kill('SIGKILL');
  await once(parent, 'exit');
  for (let i = 0; i < 50 && qemusWith(folder).length > 0; i++) await delay(100);
  expect(qemusWith(folder)).toEqual([]);
});
