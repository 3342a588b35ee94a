import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sha256Of, temporaryFolder } from '../../test/support/synthetic-bundle.ts';
import { FormatError, UnsupportedError } from '../core/errors.ts';
import type { ProgressEvent } from '../core/progress/progress.ts';
import type { LiveIso, OsmetEntry } from '../formats/iso/live-iso.ts';
import { createAutoEngine } from './auto.ts';
import { createBothEngine } from './both.ts';
import type { MetalEngine, RegenerateRequest } from './engine.ts';

const DISK = Buffer.from('the one disk');

/** Writes these bytes, or throws, as the engines do. */
function engine(name: 'qemu' | 'native', made: Buffer | Error): MetalEngine {
  return {
    name,
    async regenerate({ disks }) {
      if (made instanceof Error) throw made;
      for (const { output } of disks) await writeFile(output, made, { flag: 'wx' });
      return { engine: name, detail: `a ${name}`, seconds: { unpack: 1 } };
    },
  };
}

function request(folder: string, progress?: (event: ProgressEvent) => void): RegenerateRequest {
  const osmet: OsmetEntry = {
    ...{ name: 'a.osmet', variant: 'metal', sectorSize: 512, description: '', arch: 'x86_64' },
    ...{ appVersion: '', checksum: sha256Of(DISK), diskSize: DISK.length, mappedBytes: 0 },
    ...{ partitions: 1, mappings: 0, offset: 0, length: 0 },
  };
  const extent = { path: '', offset: 0, length: 0 };
  const iso: LiveIso = {
    ...{ path: 'live.iso', size: 0, volumeId: '', arch: 'x86_64', kargs: '', osmets: [osmet] },
    ...{ kernel: extent, initrd: extent, rootfs: extent, rootImage: extent },
  };
  const disks = [{ osmet, output: join(folder, 'metal.raw') }];
  return { iso, disks, ...(progress ? { progress } : {}) };
}

test('both: the same result twice is one disk, the reference’s', async () => {
  await using folder = await temporaryFolder();
  const both = createBothEngine(engine('qemu', DISK), engine('native', DISK));
  const report = await both.regenerate(request(folder.path));
  expect(report).toMatchObject({
    engine: 'both',
    detail: 'a qemu and a native, with the same result',
    seconds: { unpack: 1, native: expect.any(Number) },
  });
  expect(await readdir(folder.path)).toEqual(['metal.raw']);
  expect(await readFile(join(folder.path, 'metal.raw'))).toEqual(DISK);
});

test('both: a difference names both and leaves nothing', async () => {
  await using folder = await temporaryFolder();
  const other = Buffer.from('another disk');
  const both = createBothEngine(engine('qemu', DISK), engine('native', other));
  const failing = both.regenerate(request(folder.path));
  await expect(failing).rejects.toMatchObject({
    kind: 'integrity',
    code: 'ENGINES_DIFFER',
    message: expect.stringMatching(
      new RegExp(`metal disks \\(qemu: ${sha256Of(DISK)}, native: ${sha256Of(other)}\\)`),
    ),
  });
  expect(await readdir(folder.path)).toEqual([]);
});

test.each([
  ['qemu', DISK, new FormatError('bad block', { code: 'ROOT_BLOCK' })],
  ['native', new FormatError('bad block', { code: 'ROOT_BLOCK' }), DISK],
])(
  'both: an error of either engine is thrown, even if the other gives %s',
  async (_name, qemu, native) => {
    await using folder = await temporaryFolder();
    const both = createBothEngine(engine('qemu', qemu), engine('native', native));
    await expect(both.regenerate(request(folder.path))).rejects.toMatchObject({
      code: 'ROOT_BLOCK',
    });
    expect(await readdir(folder.path)).toEqual([]);
  },
);

test('auto: uses the VM, with a note, if native does not understand the ISO', async () => {
  await using folder = await temporaryFolder();
  const odd = new UnsupportedError('squashfs compressed with lzo', {
    code: 'SQUASHFS_COMPRESSION',
  });
  const events: ProgressEvent[] = [];
  const auto = createAutoEngine(engine('native', odd), engine('qemu', DISK));
  const report = await auto.regenerate(request(folder.path, (event) => events.push(event)));
  expect(report).toMatchObject({
    engine: 'qemu',
    detail: 'a qemu (native: squashfs compressed with lzo)',
  });
  expect(events).toContainEqual({
    type: 'note',
    subject: 'x86_64 engine',
    message: 'squashfs compressed with lzo: the qemu engine takes over from the native one',
  });
});

test('auto: native first, and damage is no reason to try the other engine', async () => {
  await using folder = await temporaryFolder();
  const damaged = new FormatError('bad block', { code: 'ROOT_BLOCK' });
  const never = engine('qemu', new Error('not to be asked'));
  const failing = createAutoEngine(engine('native', damaged), never);
  await expect(failing.regenerate(request(folder.path))).rejects.toBe(damaged);
  const working = createAutoEngine(engine('native', DISK), never);
  expect(await working.regenerate(request(folder.path))).toMatchObject({ engine: 'native' });
});
