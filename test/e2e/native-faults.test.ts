import { copyFile, mkdir, mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { memorySource } from '../../src/core/io/memory-source.ts';
import { openSource } from '../../src/core/io/source.ts';
import type { IsoExtent, LiveIso } from '../../src/formats/iso/live-iso.ts';
import { readLiveIso } from '../../src/formats/iso/open.ts';
import { readOsmet } from '../../src/formats/iso/osmet.ts';
import { golden } from '../golden/load.ts';
import {
  type ChangedRelease,
  changedRelease,
  remadeRelease,
  type Write,
} from './support/changed-release.ts';
import { cli, filesBelow } from './support/cli.ts';
import { pick } from './support/fixture.ts';

/** Damaged ISOs through the built command line: the error names the damage, and nothing is written. */
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'native-faults-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const metalOf = ({ osmets }: LiveIso) => {
  const [metal] = osmets;
  if (metal === undefined) throw new Error('the fixture ISO has no osmet');
  return metal;
};

async function failing({ args }: ChangedRelease, engine: string, env: Record<string, string> = {}) {
  const bundle = join(folder, 'bundle');
  const cache = join(folder, 'cache');
  const result = await cli(
    ['dehydrate', '--engine', engine, ...args, '--cache-dir', cache, '-o', bundle],
    { env },
  );
  // Some fail before the cache is needed.
  const left = (await readdir(folder)).sort();
  if (left[0] === 'cache') expect(filesBelow(cache)).toEqual(['metal']);
  expect(left.filter((name) => name !== 'cache')).toEqual(['release']);
  return result;
}

describe('faults of an ISO', () => {
  test('damaged blocks of the root image', async () => {
    const release = await changedRelease(
      folder,
      async ({ rootImage: { offset, length } }, write) => {
        for (let at = 4096; at < length * 0.9; at += 65_536)
          await write(Buffer.alloc(64), offset + at);
      },
    );
    const { exitCode, stderr } = await failing(release, 'native');
    expect(exitCode).toBe(3);
    expect(stderr).toMatch(
      /a block of the root image at offset \d+ of the ISO: .*zstd block is damaged/,
    );
  });

  test('a missing object', async () => {
    const absent = 'e'.repeat(64);
    const release = await changedRelease(folder, async (iso, write) => {
      const metal = metalOf(iso);
      await using source = await openSource(iso.path);
      const osmet = await readOsmet(source, { start: metal.offset, length: metal.length });
      // The last mapping ends where the checksum of the disk begins.
      const head = Buffer.alloc(osmet.xzOffset);
      await source.read(head, metal.offset);
      const checksum = head.lastIndexOf(Buffer.from(osmet.checksum, 'hex'));
      await write(Buffer.from(absent, 'hex'), metal.offset + checksum - 32);
    });
    const { exitCode, stderr } = await failing(release, 'native');
    expect(exitCode).toBe(3);
    expect(stderr).toContain(`the root image lacks the object ${absent}`);
  });

  test('a wrong checksum in the osmet', async () => {
    const wrong = 'ab'.repeat(32);
    const { sha256 } = pick('metal', 'raw.xz');
    const release = await changedRelease(
      folder,
      async (iso, write) => {
        const metal = metalOf(iso);
        const bytes = Buffer.alloc(metal.length);
        await using source = await openSource(iso.path);
        await source.read(bytes, metal.offset);
        const at = bytes.indexOf(Buffer.from(metal.checksum, 'hex'));
        await write(Buffer.from(wrong, 'hex'), metal.offset + at);
      },
      (stream) => stream.replaceAll(sha256, wrong),
    );
    const { exitCode, stderr } = await failing(release, 'native');
    expect(exitCode).toBe(4);
    expect(stderr).toMatch(/the metal disk does not have the SHA-256 that .*\.osmet promises/);
    expect(stderr).toContain(sha256);
  });

  test('an xz stream that is cut off', async () => {
    const release = await changedRelease(folder, async (iso, write) => {
      const { offset, length } = metalOf(iso);
      await write(Buffer.alloc(length / 2), offset + Math.ceil(length / 2));
    });
    const { exitCode, stderr } = await failing(release, 'native');
    expect(exitCode).toBe(3);
    expect(stderr).toMatch(/the xz stream of .*-metal\.x86_64\.osmet is damaged/);
  });

  test('a layout that only the VM understands: auto falls back with a note', async () => {
    const lzo = Buffer.of(3, 0);
    const release = await changedRelease(folder, ({ rootImage }, write) =>
      write(lzo, rootImage.offset + 20),
    );
    const native = await failing(release, 'native');
    expect(native).toMatchObject({ exitCode: 5 });
    expect(native.stderr).toContain('squashfs compressed with lzo');
    // Without QEMU on the host, it stops there.
    const auto = await failing(release, 'auto', { PATH: '/nonexistent' });
    expect(auto).toMatchObject({ exitCode: 8 });
    expect(auto.stderr).toContain('the qemu engine takes over from the native one');
  });

  test('a folder of the ISO', async () => {
    const release = await changedRelease(folder, async ({ path, rootfs }, write) => {
      await using source = await openSource(path);
      const head = Buffer.alloc(1 << 20);
      await source.read(head, 0);
      // The directory record of rootfs.img: its block, in both byte orders.
      const place = Buffer.alloc(8);
      place.writeUInt32LE(rootfs.offset / 2048);
      place.writeUInt32BE(rootfs.offset / 2048, 4);
      const record = head.indexOf(place) - 2;
      expect(head.indexOf('ROOTFS', record)).toBe(record + 33);
      await write(Buffer.alloc(8, 0xff), record + 2);
    });
    const { exitCode, stderr } = await failing(release, 'native');
    expect(exitCode).toBe(3);
    expect(stderr).toMatch(/images\/pxeboot\/rootfs\.img .*\[ISO_/);
  });

  test('an ISO that is cut off', async () => {
    const release = await remadeRelease(folder, 'x86_64', async (iso, path) => {
      await copyFile(iso.path, path);
      await truncate(path, iso.size / 2);
    });
    const { exitCode, stderr } = await failing(release, 'native');
    expect(exitCode).toBe(3);
    expect(stderr).toMatch(/\[ISO_TRUNCATED\]/);
  });

  /** Bytes of a member's header in the archive: 110 and a name. */
  const header = ({ offset }: IsoExtent) => offset - 124;

  test.each<[string, (iso: LiveIso, write: Write) => Promise<void>, RegExp]>([
    [
      'the first header of the archive',
      ({ rootImage }, write) => write(Buffer.from('070709'), header(rootImage)),
      /rootfs\.img: no newc cpio archive at offset \d+: .*\[CPIO_BAD\]/,
    ],
    [
      'a size in the archive',
      ({ rootImage }, write) => write(Buffer.from('FFFFFFFF'), header(rootImage) + 54),
      /rootfs\.img: .* at offset \d+.*\[CPIO_/,
    ],
    [
      'the magic of an osmet',
      (iso, write) => write(Buffer.from('TEMSO'), metalOf(iso).offset),
      /bad osmet file \S+-metal\.x86_64\.osmet: no osmet magic .*\[OSMET_BAD\]/,
    ],
    [
      'the mappings of an osmet',
      (iso, write) => write(Buffer.alloc(64, 0xff), metalOf(iso).offset + 2000),
      /bad osmet file \S+-metal\.x86_64\.osmet: .*\[OSMET_BAD\]/,
    ],
    [
      'the tables of the squashfs',
      async ({ path, rootImage }, write) => {
        await using source = await openSource(path);
        const superblock = Buffer.alloc(96);
        await source.read(superblock, rootImage.offset);
        const inodes = rootImage.offset + Number(superblock.readBigUInt64LE(64));
        await write(Buffer.alloc(rootImage.offset + rootImage.length - 4096 - inodes), inodes);
      },
      /damaged squashfs: .*\[SQUASHFS_BAD\]/,
    ],
    [
      'the superblock of the squashfs',
      ({ rootImage }, write) => write(Buffer.alloc(8, 0xff), rootImage.offset + 64),
      /damaged squashfs: .*\[SQUASHFS_BAD\]/,
    ],
  ])('%s', async (_what, change, message) => {
    const { exitCode, stderr } = await failing(await changedRelease(folder, change), 'native');
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/offset/);
    expect(exitCode).toBe(3);
  });
});

test.each(['relative', 'absolute'])(
  'an archive that climbs by a path that is %s: nothing is written',
  async (kind) => {
    const work = join(folder, 'work');
    await mkdir(work);
    const iso = golden('iso/live.iso');
    const { rootfs } = await readLiveIso(memorySource(iso));
    const archive = golden(`initrd/traversal-${kind}.img`);
    iso.fill(0, rootfs.offset, rootfs.offset + rootfs.length);
    archive.copy(iso, rootfs.offset);
    await writeFile(join(work, 'hostile.iso'), iso);
    const before = await stat('/etc/adjtime').catch(() => undefined);
    const { exitCode, stdout } = await cli(['inspect', 'hostile.iso'], { cwd: work });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^Makes +nothing$/m);
    expect(stdout).toMatch(/not a safe relative path/);
    expect(filesBelow(folder)).toEqual(['work', 'work/hostile.iso']);
    expect((await stat('/etc/adjtime').catch(() => undefined))?.mtimeMs).toBe(before?.mtimeMs);
  },
);
