import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { execa } from 'execa';
import { extract } from 'tar-stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openSource } from '../../src/core/io/source.ts';
import { createNativeEngine } from '../../src/engine/native/index.ts';
import type { LiveIso } from '../../src/formats/iso/live-iso.ts';
import { openLiveIso } from '../../src/formats/iso/open.ts';
import { openRootFiles } from '../../src/formats/rootfs/index.ts';
import { unpackUnit } from '../../src/formats/rootfs/unpack-unit.ts';
import { cli, output } from './support/cli.ts';
import { fixtureArches, partialRelease, pick } from './support/fixture.ts';
import { opensslSha256 } from './support/judge.ts';
import { releaseBundle } from './support/release-bundle.ts';

/** The engine without a VM, through the built command line, on the fixture's real ISOs. */
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'native-engine-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** An environment without any other program: no QEMU, no xz. Node itself is called by its path. */
const BARE = { PATH: '/nonexistent' };

/** Peak memory of the whole command with all its threads, bytes. */
const MAX_RSS = 600 << 20;

test.each(fixtureArches())(
  '%s: both metal disks, as released, with no program but Node',
  async (arch) => {
    const { bundle } = await releaseBundle();
    const out = join(folder, 'out');
    const how = ['--engine', 'native', '--no-cache', '--arch', arch, '-b', bundle, '-o', `${out}/`];
    const made = await cli([...how, '-p', 'metal', '-f', 'raw,4k.raw'], { env: BARE });
    expect(made).toMatchObject({ exitCode: 0 });
    expect(made.peakRss).toBeGreaterThan(50 << 20);
    expect(made.peakRss).toBeLessThan(MAX_RSS);
    expect(made.stderr).toMatch(/native: reading[\s\S]*unpacking the disk[\s\S]*hashing the disk/);
    expect(made.stderr).toContain('done, by native (');
    for (const format of ['raw.xz', '4k.raw.xz']) {
      const { name, sha256 } = pick('metal', format, 'disk', arch);
      expect(await opensslSha256(join(out, name))).toBe(sha256);
    }
  },
);

interface Remake {
  /** The kind of root image that the ISO gets. */
  readonly kind: 'squashfs' | 'erofs';
  readonly options: readonly string[];
}

/**
 * The kind of root image that the fixture's ISO of the architecture does not have; architectures.test.ts and
 * main-job.test.ts have the other. Each uses other options of Debian 12's mkfs.erofs and mksquashfs.
 */
const REMAKES: Readonly<Record<string, Remake>> = {
  x86_64: { kind: 'erofs', options: ['-zlz4', '-C131072', '-Eztailpacking'] },
  aarch64: { kind: 'squashfs', options: ['-comp', 'gzip', '-Xcompression-level', '1'] },
  ppc64le: { kind: 'erofs', options: ['-zlz4', '-Elegacy-compress'] },
  s390x: { kind: 'squashfs', options: ['-comp', 'lz4', '-b', '262144'] },
};

/** Makes `root.$kind` from `from`, an image of the other kind, with programs that are not ours. */
const MAKE_IMAGE = {
  // In a mount namespace of its own, so that nothing ever stays mounted.
  erofs: `
    mkdir tree
    mount -t squashfs -o ro,loop "$from" tree
    mkfs.erofs --quiet -x-1 "$@" root.erofs tree >/dev/null
    umount tree`,
  // Not every kernel that runs the tests can mount an erofs.
  squashfs: `
    fsck.erofs --extract=tree "$from" >/dev/null
    mksquashfs tree root.squashfs -quiet -no-progress "$@"
    rm -r tree`,
} as const;

/** Masters the ISO again with the same files in a root image of the other kind. Kernel and initrd stay. */
async function remakeRoot(iso: LiveIso, to: string, { kind, options }: Remake): Promise<void> {
  const work = join(folder, 'remake');
  const script = `
    from=old.img iso=$1 to=$2 path=$3 root=root.${kind}
    shift 3
    ${MAKE_IMAGE[kind]}
    rm "$from"
    mkdir etc
    echo remade >etc/coreos-live-rootfs
    { echo "$root"; echo etc; echo etc/coreos-live-rootfs; ls *.osmet; } |
      cpio --quiet -o -H newc -R 0:0 >new.img
    rm "$root"
    xorriso -return_with SORRY 0 -indev "$iso" -outdev "$to" -map new.img "/$path" -end 2>&1`;
  await mkdir(work);
  await cutOut(iso.path, iso.rootImage, join(work, 'old.img'));
  for (const { name, offset, length } of iso.osmets) {
    await cutOut(iso.path, { offset, length }, join(work, name));
  }
  const sh = ['--mount', 'sh', '-euc', script, 'sh', iso.path, to, iso.rootfs.path, ...options];
  await execa('unshare', sh, { cwd: work });
  await rm(work, { recursive: true });
}

/** Copies a part of a file with programs that are not ours. */
async function cutOut(file: string, part: { offset: number; length: number }, to: string) {
  const script = 'tail -c +"$1" "$2" | head -c "$3" > "$4"';
  const [start, length] = [String(part.offset + 1), String(part.length)];
  await output('sh', ['-euc', script, 'sh', start, file, length, to]);
}

test.each(fixtureArches())('%s: an ISO with the other kind of root image', async (arch) => {
  const remake = REMAKES[arch];
  if (remake === undefined) throw new Error(`no root image to make for ${arch}`);
  const original = await openLiveIso(pick('metal', 'iso', 'disk', arch).released);
  expect(original.rootImage.path).not.toBe(`root.${remake.kind}`);
  const path = join(folder, 'remade.iso');
  await remakeRoot(original, path, remake);
  const iso = await openLiveIso(path);
  expect(iso.rootImage.path).toBe(`root.${remake.kind}`);
  const disks = iso.osmets.map((osmet) => ({ osmet, output: join(folder, osmet.variant) }));
  const { detail } = await createNativeEngine().regenerate({ iso, disks });
  expect(detail).toContain(`native (${remake.kind}`);
  for (const [variant, format] of [
    ['metal', 'raw.xz'],
    ['metal4k', '4k.raw.xz'],
  ] as const) {
    const { sha256 } = pick('metal', format, 'disk', arch);
    expect(await opensslSha256(join(folder, variant))).toBe(sha256);
  }
});

test('dehydrate needs no program but Node, either', async () => {
  const release = await partialRelease(join(folder, 'release'), []);
  const args = ['--cache-dir', join(folder, 'cache'), '-o', join(folder, 'bundle')];
  const made = await cli(['dehydrate', '--engine', 'native', ...release, ...args], { env: BARE });
  expect(made).toMatchObject({ exitCode: 0 });
  expect(made.peakRss).toBeLessThan(MAX_RSS);
  expect(made.stdout).toContain('metal regenerated by native: native (squashfs');
});

test('our reader finds the same files in the root image as libsquashfs', async () => {
  const iso = await openLiveIso(pick('metal', 'iso').released);
  await using source = await openSource(iso.path);
  const root = openRootFiles(source, iso.rootImage);
  const image = join(folder, 'root.squashfs');
  await cutOut(iso.path, iso.rootImage, image);

  /** The unit read last: neighbours in the archive share fragments. */
  let last: { offset: number; bytes: Uint8Array } = { offset: -1, bytes: Buffer.alloc(0) };
  const ours = (path: string): string | undefined => {
    const file = root.find(path);
    if (file === undefined) return undefined;
    const hash = createHash('sha256');
    let at = 0;
    for (const { start, length: count, unit, unitOffset } of file.pieces(0, file.size)) {
      if (unit.offset !== last.offset) {
        const stored = Buffer.alloc(unit.stored);
        source.readSync(stored, unit.offset);
        last = { offset: unit.offset, bytes: unpackUnit(unit, stored) };
      }
      hash
        .update(Buffer.alloc(start - at))
        .update(last.bytes.subarray(unitOffset, unitOffset + count));
      at = start + count;
    }
    return hash.update(Buffer.alloc(file.size - at)).digest('hex');
  };

  // squashfs-tools-ng has its own reader, which shares nothing with ours or with the kernel's.
  const child = execa('sqfs2tar', [image], { encoding: 'buffer', buffer: false });
  let files = 0;
  for await (const entry of child.stdout.pipe(extract())) {
    const hash = createHash('sha256');
    await pipeline(entry, hash);
    const path = entry.header.name.replace(/^\.?\//, '');
    if (entry.header.type !== 'file') continue;
    files++;
    const theirs = hash.digest('hex');
    if (ours(path) !== theirs) expect.fail(`${path}: libsquashfs reads ${theirs}`);
  }
  await child;
  expect(files).toBeGreaterThan(2000);
});
