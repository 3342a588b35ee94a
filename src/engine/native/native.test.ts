import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import {
  type NativeIso,
  type NativeIsoOptions,
  nativeIso,
  releasedIso,
} from '../../../test/support/native-iso.ts';
import { temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { CancelledError } from '../../core/errors.ts';
import type { ProgressEvent } from '../../core/progress/progress.ts';
import type { LiveIso } from '../../formats/iso/live-iso.ts';
import { createNativeEngine } from './index.ts';

function disksOf(iso: LiveIso, folder: string) {
  return iso.osmets.map((osmet) => ({ osmet, output: join(folder, `${osmet.variant}.raw`) }));
}

test.each(['squashfs-objects', 'erofs-objects'])(
  '%s: both disks, byte for byte, sparse',
  async (image) => {
    await using folder = await temporaryFolder();
    const { iso, disks } = await nativeIso(folder.path, { image });
    const events: ProgressEvent[] = [];
    const report = await createNativeEngine().regenerate({
      iso,
      disks: disksOf(iso, folder.path),
      progress: (event) => events.push(event),
    });
    for (const { variant, checksum } of iso.osmets) {
      const path = join(folder.path, `${variant}.raw`);
      expect((await readFile(path)).equals(disks.get(variant) ?? Buffer.alloc(0))).toBe(true);
      expect(report.digests?.[variant]).toBe(checksum);
      expect((await stat(path)).blocks * 512).toBeLessThan(4 << 20);
    }
    expect(report).toMatchObject({ engine: 'native', detail: expect.stringMatching(/^native \(/) });
    expect(Object.keys(report.seconds)).toEqual(['read', 'unpack', 'hash']);
    const phases = events.flatMap((event) => (event.type === 'phase' ? [event.phase] : []));
    expect(phases).toEqual(['read', 'unpack', 'hash']);
    expect(events.at(-1)).toMatchObject({ type: 'done', subject: 'x86_64 native' });
  },
);

test('one disk alone, by one thread', async () => {
  await using folder = await temporaryFolder();
  const { iso, disks } = await nativeIso(folder.path);
  const wanted = disksOf(iso, folder.path).slice(1);
  await createNativeEngine({ threads: 1 }).regenerate({ iso, disks: wanted });
  expect(await readdir(folder.path)).toEqual(['live.iso', 'metal4k.raw']);
  const made = await readFile(join(folder.path, 'metal4k.raw'));
  expect(made.equals(disks.get('metal4k') ?? Buffer.alloc(0))).toBe(true);
});

test.each(['0.8.0', '0.26.0'])(
  'an osmet of coreos-installer %s: the disk of GPT, ext4 and XFS that it packed',
  async (version) => {
    await using folder = await temporaryFolder();
    const iso = await releasedIso(folder.path, version);
    expect(iso.osmets[0]).toMatchObject({ appVersion: version, partitions: 2 });
    await createNativeEngine().regenerate({ iso, disks: disksOf(iso, folder.path) });
    const { stdout } = await execa('sha256sum', ['--', join(folder.path, 'metal.raw')]);
    const released = new URL('../../../test/golden/osmet/releases.sha256', import.meta.url);
    expect(stdout.slice(0, 64)).toBe((await readFile(released, 'utf8')).trim());
  },
);

/** Damages `bytes` from `at` on. */
function damaged(bytes: Buffer, at: number, length = 64): Buffer {
  const copy = Buffer.from(bytes);
  for (let i = at; i < at + length; i++) copy[i] = (copy[i] ?? 0) ^ 0xa5;
  return copy;
}

/** Damages all data blocks: some are stored as they are, where only the disk's hash tells. */
function damagedAll(image: Buffer): Buffer {
  let copy = image;
  const tables = Number(image.readBigUInt64LE(64));
  for (let at = 100; at < tables; at += 1000) copy = damaged(copy, at);
  return copy;
}

const ABSENT = 'f'.repeat(64);

const faults: [string, NativeIsoOptions, object][] = [
  [
    'a damaged block of the root image',
    { edit: ({ image }) => ({ image: damagedAll(image) }) },
    {
      kind: 'format',
      code: 'ROOT_BLOCK',
      message: expect.stringMatching(/^a block of the root image at offset \d+ of the ISO: /),
      context: { offset: expect.any(Number), object: expect.stringMatching(/^[0-9a-f]{64}$/) },
    },
  ],
  [
    'damaged tables of the root image',
    { edit: ({ image }) => ({ image: damaged(image, Number(image.readBigUInt64LE(72)) + 2) }) },
    { kind: 'format', code: 'SQUASHFS_BAD', context: { offset: expect.any(Number) } },
  ],
  [
    'a missing object',
    { object: ABSENT },
    {
      kind: 'format',
      code: 'OBJECT_MISSING',
      context: { object: ABSENT, path: `ostree/repo/objects/ff/${'f'.repeat(62)}.file` },
    },
  ],
  [
    'a different checksum in the osmet',
    { checksum: 'ab'.repeat(32) },
    {
      kind: 'integrity',
      code: 'OSMET_DIGEST',
      message: 'the metal disk does not have the SHA-256 that golden-metal.x86_64.osmet promises',
      context: { expected: 'ab'.repeat(32), found: expect.stringMatching(/^[0-9a-f]{64}$/) },
    },
  ],
  [
    'a cut xz stream',
    { edit: ({ xz }) => ({ xz: xz.subarray(0, -40) }) },
    {
      kind: 'format',
      code: 'OSMET_STREAM',
      message: expect.stringMatching(/^the xz stream of golden-metal4?k?.x86_64.osmet is damaged/),
    },
  ],
  [
    'a damaged xz stream',
    { edit: ({ xz }) => ({ xz: damaged(xz, 100, 8) }) },
    { kind: 'format', code: 'OSMET_STREAM', context: { offset: expect.any(Number) } },
  ],
];

test.each(faults)(
  '%s is an error that says where, and leaves nothing',
  async (_, options, error) => {
    await using folder = await temporaryFolder();
    const { iso } = await nativeIso(folder.path, options);
    const failing = createNativeEngine().regenerate({ iso, disks: disksOf(iso, folder.path) });
    await expect(failing).rejects.toMatchObject(error);
    expect(await readdir(folder.path)).toEqual(['live.iso']);
  },
);

test('an xz stream for a smaller or larger disk is an error', async () => {
  await using folder = await temporaryFolder();
  const { iso } = await nativeIso(folder.path);
  for (const [from, to] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const [one, other] = [iso.osmets[from], iso.osmets[to]];
    if (!one || !other) throw new Error('two osmets were expected');
    // The mappings of one with the stream of the other.
    const bytes = await readFile(iso.path);
    const magic = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]);
    const head = bytes.subarray(one.offset, bytes.indexOf(magic, one.offset));
    const stream = bytes.subarray(bytes.indexOf(magic, other.offset), other.offset + other.length);
    await using mixed = await temporaryFolder();
    const path = join(mixed.path, 'live.iso');
    await writeFile(path, Buffer.concat([bytes, head, stream]));
    const osmet = { ...one, offset: bytes.length, length: head.length + stream.length };
    const output = join(mixed.path, 'metal.raw');
    const failing = createNativeEngine().regenerate({
      iso: { ...iso, path },
      disks: [{ osmet, output }],
    });
    await expect(failing).rejects.toMatchObject({ code: 'OSMET_STREAM' });
    expect(await readdir(mixed.path)).toEqual(['live.iso']);
  }
});

test('a root image without a repository is for the other engine', async () => {
  await using folder = await temporaryFolder();
  const { iso } = await nativeIso(folder.path, {
    edit({ image }) {
      return { image: Buffer.from(image.toString('latin1').replaceAll('hsqs', 'xsqs'), 'latin1') };
    },
  });
  const failing = createNativeEngine().regenerate({ iso, disks: disksOf(iso, folder.path) });
  await expect(failing).rejects.toMatchObject({ kind: 'unsupported', code: 'ROOT_IMAGE_KIND' });
});

test('an output that exists is left alone', async () => {
  await using folder = await temporaryFolder();
  const { iso } = await nativeIso(folder.path);
  const [disk] = disksOf(iso, folder.path);
  if (disk === undefined) throw new Error('no disk');
  const failing = createNativeEngine().regenerate({ iso, disks: [{ ...disk, output: iso.path }] });
  await expect(failing).rejects.toMatchObject({ kind: 'io', code: 'EXISTS' });
  expect((await stat(iso.path)).size).toBe(iso.size);
});

test.each<ProgressEvent['type'] | 'before'>(['before', 'phase', 'advance'])(
  'stopped at the first %s event: nothing is left',
  async (when) => {
    await using folder = await temporaryFolder();
    const { iso }: NativeIso = await nativeIso(folder.path);
    const controller = new AbortController();
    const stop = () => controller.abort(new CancelledError('stop', { code: 'CANCELLED' }));
    if (when === 'before') stop();
    const failing = createNativeEngine().regenerate({
      iso,
      disks: disksOf(iso, folder.path),
      signal: controller.signal,
      progress: ({ type }) => {
        if (type === when) stop();
      },
    });
    await expect(failing).rejects.toMatchObject({ kind: 'cancelled' });
    expect(await readdir(folder.path)).toEqual(['live.iso']);
  },
);
