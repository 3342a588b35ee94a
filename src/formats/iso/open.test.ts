import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { survive } from '../../../test/golden/mutate.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import { openLiveIso, readLiveIso } from './open.ts';
import { readOsmet } from './osmet.ts';
import { osmetOf } from './rootfs.ts';

const read = (bytes: Uint8Array) => readLiveIso(memorySource(bytes, 'live.iso'));

/** The golden live ISO with all occurrences of one text replaced by another of the same length. */
function edited(from: string, to: string, occurrences = Number.POSITIVE_INFINITY): Buffer {
  const bytes = golden('iso/live.iso');
  expect(to.length).toBe(from.length);
  let at = bytes.indexOf(from, 0, 'latin1');
  expect(at).toBeGreaterThan(0);
  for (let i = 0; at !== -1 && i < occurrences; i++) {
    bytes.write(to, at, 'latin1');
    at = bytes.indexOf(from, at + 1, 'latin1');
  }
  return bytes;
}

test('a whole live ISO', async () => {
  const bytes = golden('iso/live.iso');
  const iso = await read(bytes);
  expect(iso).toMatchObject({
    path: 'live.iso',
    size: bytes.length,
    volumeId: 'golden-1.2.3',
    arch: 'x86_64',
    kargs:
      'mitigations=auto coreos.liveiso=golden-1.2.3 ignition.firstboot ignition.platform.id=metal',
    kernel: { path: 'images/pxeboot/vmlinuz', length: 8192 },
    initrd: { path: 'images/pxeboot/initrd.img', length: 8192 },
    rootfs: { path: 'images/pxeboot/rootfs.img' },
    rootImage: expect.objectContaining({ path: 'root.squashfs' }),
  });
  expect(bytes.toString('latin1', iso.kernel.offset + 514, iso.kernel.offset + 518)).toBe('HdrS');
  expect(iso.osmets.map(({ name, variant, sectorSize }) => [name, variant, sectorSize])).toEqual([
    ['golden-metal.x86_64.osmet', 'metal', 512],
    ['golden-metal4k.x86_64.osmet', 'metal4k', 4096],
  ]);
  for (const entry of iso.osmets) {
    const file = golden(`osmet/${entry.name}`);
    expect(bytes.subarray(entry.offset, entry.offset + entry.length).equals(file)).toBe(true);
    const osmet = await readOsmet(memorySource(file));
    expect(entry).toMatchObject({
      arch: 'x86_64',
      appVersion: '0.26.0',
      description: 'Golden CoreOS 1.2.3',
      checksum: osmet.checksum,
      diskSize: 16 << 20,
      mappedBytes: 286720,
      partitions: 2,
      mappings: 5,
    });
  }
});

test('each osmet is read only once', async () => {
  const iso = await read(golden('iso/live.iso'));
  const unread = memorySource(Buffer.alloc(0));
  for (const entry of iso.osmets) {
    const osmet = await osmetOf(unread, entry);
    expect(osmet).toEqual(await readOsmet(memorySource(golden(`osmet/${entry.name}`))));
  }
});

test('without Rock Ridge it is the same', async () => {
  const iso = await read(golden('iso/plain.iso'));
  expect(iso.osmets.map(({ variant }) => variant)).toEqual(['metal', 'metal4k']);
});

test('from a file, which is closed; a missing file is an I/O error', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'iso-rehydrate-'));
  try {
    const path = join(folder, 'live.iso');
    await writeFile(path, golden('iso/live.iso'));
    expect(await openLiveIso(path)).toMatchObject({ path, arch: 'x86_64' });
    await expect(openLiveIso(join(folder, 'no.iso'))).rejects.toMatchObject({ kind: 'io' });
    const signal = AbortSignal.abort();
    await expect(openLiveIso(path, { signal })).rejects.toMatchObject({ kind: 'cancelled' });
  } finally {
    await rm(folder, { recursive: true });
  }
});

const s390Kernel = (): Buffer => {
  const bytes = golden('iso/live.iso');
  const kernel = bytes.indexOf('HdrS') - 514;
  bytes.write('\x7fELF\x02\x02\x01', kernel, 'latin1'); // 64-bit, big endian
  bytes.writeUInt16BE(22, kernel + 18); // EM_S390
  return bytes;
};

const twoOf512 = (): Buffer => {
  const bytes = golden('iso/live.iso');
  const field = bytes.indexOf(Buffer.from('fb0010', 'hex'), bytes.indexOf('metal4k.x86_64.osmet'));
  return bytes.fill(Buffer.from('fb0002', 'hex'), field, field + 3);
};

describe('refused', () => {
  test.each<[string, () => Uint8Array, string, string]>([
    ['what is no ISO', () => Buffer.alloc(1 << 20, 'x'), 'ISO_NOT_ISO9660', 'format'],
    ['an ISO of something else', () => golden('iso/rock.iso'), 'ISO_NOT_COREOS', 'unsupported'],
    ['a minimal ISO', () => edited('rootfs.img', 'rootfs.im_'), 'ISO_NO_ROOTFS', 'unsupported'],
    ['no osmet', () => edited('.osmet\0', '.osmeX\0'), 'ISO_NO_OSMET', 'unsupported'],
    [
      'no root image',
      () => edited('root.squash', 'root.smashs'),
      'ISO_NO_ROOT_IMAGE',
      'unsupported',
    ],
    ['no kernel', () => edited('vmlinuz', 'vmlinux'), 'ISO_NO_KERNEL', 'unsupported'],
    ['no initrd', () => edited('initrd.img', 'initrd.im_'), 'ISO_NO_INITRD', 'unsupported'],
    ['half an ISO', () => golden('iso/live.iso').subarray(0, 300_000), 'ISO_TRUNCATED', 'format'],
    ['a broken rootfs.img', () => edited('070701', '070709', 3), 'CPIO_BAD', 'format'],
    ['a broken osmet', () => edited('OSMET\0', 'OSMEX\0'), 'OSMET_BAD', 'format'],
    [
      'osmets for two machines',
      () => edited('x86_64\x02', 'ppc64l\x02', 1),
      'ISO_ARCH_MISMATCH',
      'format',
    ],
    ['an unknown machine', () => edited('\x06x86_64', '\x06riscv6'), 'ISO_ARCH_UNKNOWN', 'format'],
    ['a kernel for another machine', s390Kernel, 'ISO_ARCH_MISMATCH', 'format'],
    ['two osmets of one kind', twoOf512, 'ISO_OSMET_AMBIGUOUS', 'format'],
    [
      'an osmet name for a shell',
      () => edited('golden-metal.', '$(metal >a) .'),
      'ISO_OSMET_NAME',
      'format',
    ],
    [
      'an osmet name that climbs',
      () => edited('golden-metal.', '../../../etc.'),
      'CPIO_TRAVERSAL',
      'format',
    ],
  ])('%s', async (_, bytes, code, kind) => {
    await expect(read(bytes())).rejects.toMatchObject({
      code,
      kind,
      message: expect.stringMatching(/\w{3}/),
    });
  });
});

test('10,000 mutations: an answer or a RehydrateError', async () => {
  const bytes = golden('iso/live.iso');
  const rejected = await survive(bytes, 10_000, read);
  expect(rejected).toBeGreaterThan(1000);
});

test('an ISO that does not say its kernel arguments can be read: only a boot needs them', async () => {
  const bytes = edited('KARGS.JSO', 'GONE.JSON');
  for (const name of ['kargs.json', 'grub.cfg']) {
    for (let at = bytes.indexOf(name); at !== -1; at = bytes.indexOf(name, at)) {
      bytes.write('x'.repeat(name.length), at);
    }
  }
  bytes.fill('x', bytes.indexOf('GRUB.CFG'), bytes.indexOf('GRUB.CFG') + 8);
  expect((await read(bytes)).kargs).toBeUndefined();
});
