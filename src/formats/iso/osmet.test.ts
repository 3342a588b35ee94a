import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { survive } from '../../../test/golden/mutate.ts';
import type { Sha256 } from '../../core/io/digest.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import { encodeOsmet, objectName, readOsmet } from './osmet.ts';
import type { Osmet } from './osmet-types.ts';

const METAL = golden('osmet/golden-metal.x86_64.osmet');
const XZ_MAGIC = Buffer.from('fd377a585a00', 'hex');

const read = (bytes: Uint8Array) => readOsmet(memorySource(bytes, 'an osmet'));

/** The objects of make.sh: the first `size` bytes of `seq size`. */
function objectOf(size: number): string {
  let text = '';
  for (let i = 1; text.length < size; i++) text += `${i}\n`;
  return createHash('sha256').update(text.slice(0, size)).digest('hex');
}

type Body = Pick<Osmet, 'header' | 'partitions' | 'checksum' | 'size'>;

function body(partitions: { start: number; end: number; extents: number[][] }[]): Body {
  return {
    header: { appVersion: '0.26.0', sectorSize: 512, description: 'd', architecture: 's390x' },
    partitions: partitions.map(({ start, end, extents }) => ({
      start,
      end,
      mappings: {
        count: extents.length,
        logical: Float64Array.from(extents, ([logical]) => logical ?? 0),
        physical: Float64Array.from(extents, ([, physical]) => physical ?? 0),
        length: Float64Array.from(extents, ([, , length]) => length ?? 0),
        objects: new Uint8Array(extents.length * 32).map((_, i) => i % 251),
      },
    })),
    checksum: 'ab'.repeat(32) as Sha256,
    size: 1 << 30,
  };
}

const file = (osmet: Body) => Buffer.concat([encodeOsmet(osmet), XZ_MAGIC]);

describe('osmets of the real coreos-installer', () => {
  test.each([
    ['osmet/golden-metal.x86_64.osmet', 512, '734094cc2205b2bd'],
    ['osmet/golden-metal4k.x86_64.osmet', 4096, '03cd70d1a71c3390'],
  ])('%s', async (path, sectorSize, checksum) => {
    const bytes = golden(path);
    const osmet = await read(bytes);
    expect(osmet.header).toEqual({
      appVersion: '0.26.0',
      sectorSize,
      description: 'Golden CoreOS 1.2.3',
      architecture: 'x86_64',
    });
    expect(osmet.checksum).toMatch(new RegExp(`^${checksum}`));
    expect(osmet.size).toBe(16 << 20);
    // `pack osmet` said: 1 extent in /boot, 4 in /root, 286720 bytes skipped.
    expect(osmet.partitions.map(({ mappings }) => mappings.count)).toEqual([1, 4]);
    expect(osmet.mappedBytes).toBe(286720);
    const [, root] = osmet.partitions;
    const names = [0, 1, 2, 3].map((i) => root && objectName(root.mappings, i));
    expect(names.toSorted()).toEqual([5000, 4096, 100000, 65537].map(objectOf).toSorted());
    expect(bytes.subarray(osmet.xzOffset, osmet.xzOffset + 6)).toEqual(XZ_MAGIC);
    expect(encodeOsmet(osmet)).toEqual(bytes.subarray(0, osmet.xzOffset));
  });

  test('inside of a larger file', async () => {
    const source = memorySource(Buffer.concat([Buffer.alloc(1000), METAL, Buffer.alloc(7)]));
    const osmet = await readOsmet(source, { start: 1000, length: METAL.length });
    expect(osmet).toEqual(await read(METAL));
  });
});

describe('refused', () => {
  const one = (extents: number[][]) => body([{ start: 1024, end: 99_328, extents }]);
  test.each<[string, Body, string]>([
    ['no partition', body([]), '0 partitions'],
    [
      'overlapping mappings',
      one([
        [0, 0, 8192],
        [0, 4096, 4096],
      ]),
      'mapping 1 of partition 0',
    ],
    ['mapping past its partition', one([[0, 90_000, 8305]]), 'mapping 0 of partition 0'],
    ['offset that overflows', one([[Number.MAX_SAFE_INTEGER, 0, 4096]]), 'overflows'],
    [
      'overlapping partitions',
      body([
        { start: 0, end: 4096, extents: [] },
        { start: 4095, end: 8192, extents: [] },
      ]),
      'partition 1',
    ],
    ['partition past the disk', body([{ start: 0, end: 2 ** 31, extents: [] }]), 'partition 0'],
    ['odd disk size', { ...one([]), size: 100_001 }, 'disk size'],
    ['empty disk', { ...one([]), size: 0 }, 'disk size'],
  ])('%s', async (_, osmet, message) => {
    await expect(read(file(osmet))).rejects.toMatchObject({
      code: 'OSMET_BAD',
      message: expect.stringContaining(message),
    });
  });

  test('an unknown version', async () => {
    const bytes = Buffer.from(METAL);
    bytes[8] = 2;
    await expect(read(bytes)).rejects.toMatchObject({ code: 'OSMET_VERSION', kind: 'unsupported' });
  });

  test('a count of mappings that the file has no room for', async () => {
    const start = encodeOsmet(body([{ start: 0, end: 0, extents: [] }])).indexOf('s390x') + 5;
    const bytes = Buffer.concat([
      file(one([])).subarray(0, start),
      Buffer.from('010000fd0000000000010000', 'hex'),
      Buffer.alloc(100),
    ]);
    await expect(read(bytes)).rejects.toThrow('claims 1099511627776 mappings');
  });

  test('every truncation', async () => {
    const { xzOffset } = await read(METAL);
    for (let keep = 0; keep < xzOffset + XZ_MAGIC.length; keep++) {
      await expect(read(METAL.subarray(0, keep))).rejects.toMatchObject({ code: 'OSMET_BAD' });
    }
  });
});

test('60,000 mappings cross many windows and come out equal', async () => {
  const extents = Array.from({ length: 60_000 }, (_, i) => [i % 3, i * 4096, 4096]);
  const osmet = body([
    { start: 512, end: 4096, extents: [] },
    { start: 1 << 20, end: 1 << 29, extents },
  ]);
  const decoded = await read(file(osmet));
  expect(decoded.mappings).toBe(60_000);
  expect(decoded.mappedBytes).toBe(60_000 * 4096);
  expect(encodeOsmet(decoded).equals(encodeOsmet(osmet))).toBe(true);
});

test('any canonical osmet survives a round trip', async () => {
  const gap = fc.nat(70_000);
  const extent = fc.tuple(gap, gap, fc.nat(2 ** 40));
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(extent, { maxLength: 20 }), { minLength: 1 }),
      async (all) => {
        let end = 0;
        const partitions = all.map((gaps) => {
          let at = 0;
          const extents = gaps.map(([before, length, logical]) => {
            const physical = at + before;
            at = physical + length;
            return [logical, physical, length];
          });
          const start = end;
          end = start + at;
          return { start, end, extents };
        });
        const osmet = { ...body(partitions), size: (Math.floor(end / 512) + 1) * 512 };
        const decoded = await read(file(osmet));
        expect(encodeOsmet(decoded).equals(encodeOsmet(osmet))).toBe(true);
      },
    ),
  );
});

test('10,000 mutations: an answer or a RehydrateError', async () => {
  const rejected = await survive(METAL.subarray(0, 400), 10_000, read);
  expect(rejected).toBeGreaterThan(3000);
});
