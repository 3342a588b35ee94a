import { describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { survive } from '../../../test/golden/mutate.ts';
import { RehydrateError } from '../../core/errors.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import { shortRead } from '../../core/io/short-read.ts';
import type { Source } from '../../core/io/source.ts';
import { type IsoNode, openIso9660 } from './iso9660.ts';

const open = (bytes: Uint8Array) => openIso9660(memorySource(bytes, 'an.iso'));

async function walk(bytes: Uint8Array): Promise<IsoNode[]> {
  const nodes: IsoNode[] = [];
  for await (const node of (await open(bytes)).walk()) nodes.push(node);
  return nodes;
}

async function text(bytes: Uint8Array, path: string): Promise<string | undefined> {
  const content = await (await open(bytes)).readFile(path, 4096);
  return content && Buffer.from(content).toString();
}

describe("coreos-installer's synthetic ISO (genisoimage, no Rock Ridge)", () => {
  const synthetic = golden('iso/synthetic.iso');

  test('descriptor', async () => {
    const iso = await open(synthetic);
    expect(iso).toMatchObject({
      systemId: 'system-ID-string',
      volumeId: 'volume-ID-string',
      volumeSize: 338 * 2048,
      rockRidge: false,
    });
  });

  test('all names, in a directory that crosses sectors too', async () => {
    const paths = (await walk(synthetic)).map(({ path }) => path);
    const large = Array.from({ length: 150 }, (_, i) => `LARGEDIR/${i + 1}.DAT`);
    expect(paths.filter((path) => path.startsWith('LARGEDIR/')).toSorted()).toEqual(
      large.toSorted(),
    );
    expect(paths.filter((path) => !path.startsWith('LARGEDIR/')).toSorted()).toEqual(
      [
        ...['CONTENT', 'CONTENT/DIR', 'CONTENT/DIR/SUBFILE.TXT', 'CONTENT/FILE.TXT', 'LARGEDIR'],
        ...['NAMES', `NAMES/!"%&'()*.+,-`, 'NAMES/:<=>?', 'NAMES/ABC', 'NAMES/ABC.D'],
        ...['NAMES/ABC.DE', 'NAMES/ABC.DEF', 'NAMES/ABCDE000', 'NAMES/ABCDEFGH'],
        ...['NAMES/ABCDEFGH.I', 'NAMES/ABCDEFGH.IJ', 'NAMES/ABCDEFGH.IJK', 'NAMES/ABCDEFGH.M'],
        ...['NAMES/ABCDEFGH.MN', 'NAMES/ABCDEFGH.MNO', 'REALLY', 'REALLY/VERY'],
        ...['REALLY/VERY/DEEPLY', 'REALLY/VERY/DEEPLY/NESTED'],
        'REALLY/VERY/DEEPLY/NESTED/FILE.TXT',
      ].toSorted(),
    );
  });

  test('lookup in any case, of files and directories', async () => {
    const iso = await open(synthetic);
    expect(await text(synthetic, 'really/very/deeply/nested/file.txt')).toBe('foo\n');
    expect((await iso.lookup('/CONTENT/'))?.kind).toBe('directory');
    expect((await iso.lookup(''))?.kind).toBe('directory');
    for (const missing of ['MISSING', 'CONTENT/FILE.TXT/X', 'CONTENT/../CONTENT', '..']) {
      expect(await iso.lookup(missing)).toBeUndefined();
    }
    expect(await iso.extent('CONTENT')).toBeUndefined();
    await expect(iso.readFile('CONTENT/FILE.TXT', 3)).rejects.toThrow('too large');
  });
});

describe('Rock Ridge (xorriso)', () => {
  const rock = golden('iso/rock.iso');

  test('names with case, names in continuation areas, relocated directories, links', async () => {
    const nodes = await walk(rock);
    const deep = 'a/b/c/d/e/f/g/h/i/j/deep.txt';
    const long = `${'n'.repeat(240)}.txt`;
    const files = nodes.filter(({ kind }) => kind === 'file').map(({ path }) => path);
    expect(files.toSorted()).toEqual(['CaSe.txt', deep, long]);
    expect(nodes.find(({ path }) => path === 'link')?.kind).toBe('symlink');
    expect(nodes.filter(({ path }) => /rr_moved/i.test(path))).toEqual([]);
    expect(await text(rock, deep)).toBe('deep\n');
    expect(await text(rock, long)).toBe('long\n');
    expect(await text(rock, 'CaSe.txt')).toBe('CaSe\n');
    expect(await text(rock, 'case.txt')).toBeUndefined();
    expect(await text(rock, 'link')).toBeUndefined();
  });
});

test('without Rock Ridge, names are found in their 8.3 form', async () => {
  const iso = await open(golden('iso/plain.iso'));
  expect((await iso.extent('coreos/kargs.json'))?.path).toBe('COREOS/KARGS.JSO');
});

test('a file of more than 4 GiB is one range', async () => {
  const head = golden('iso/huge.head');
  const size = 4718968832; // huge.size
  const source: Source = {
    ...memorySource(head),
    size,
    async read(buffer, position) {
      if (position + buffer.length > head.length) throw shortRead('huge', size, position, 0);
      buffer.set(head.subarray(position, position + buffer.length));
    },
  };
  const iso = await openIso9660(source);
  const node = await iso.lookup('huge');
  expect(node?.extents.length).toBe(2);
  expect(await iso.extent('huge')).toMatchObject({ path: 'huge', length: 4500 * 2 ** 20 + 3 });

  const second = node?.extents[1]?.offset ?? 0;
  const at = head.lastIndexOf(Buffer.from(Uint32Array.of(second / 2048).buffer));
  head.writeUInt32LE(second / 2048 + 1, at);
  await expect((await openIso9660(source)).extent('huge')).rejects.toMatchObject({
    code: 'ISO_FRAGMENTED_FILE',
    kind: 'unsupported',
  });
});

describe('refused', () => {
  const live = golden('iso/live.iso');

  test.each<[string, Uint8Array, string]>([
    ['an empty file', new Uint8Array(0), 'ISO_NOT_ISO9660'],
    ['zeros', new Uint8Array(100_000), 'ISO_NOT_ISO9660'],
    ['an ISO cut in its descriptors', live.subarray(0, 33_000), 'ISO_NOT_ISO9660'],
    ['an ISO cut in half', live.subarray(0, live.length / 2), 'ISO_TRUNCATED'],
    ['an ISO that lacks a byte', live.subarray(0, 330 * 2048 - 1), 'ISO_TRUNCATED'],
  ])('%s', async (_, bytes, code) => {
    await expect(open(bytes)).rejects.toMatchObject({ code, kind: 'format' });
  });

  test('a directory that contains itself', async () => {
    const bytes = Buffer.from(live);
    const iso = await open(bytes);
    const [images, pxeboot] = [await iso.lookup('images'), await iso.lookup('images/pxeboot')];
    const from = (pxeboot?.extents[0]?.offset ?? 0) / 2048;
    const record = bytes.indexOf('PXEBOOT', images?.extents[0]?.offset) - 33;
    expect(bytes.readUInt32LE(record + 2)).toBe(from);
    bytes.writeUInt32LE((images?.extents[0]?.offset ?? 0) / 2048, record + 2);
    await expect(walk(bytes)).rejects.toMatchObject({ code: 'ISO_DIRECTORY_LOOP' });
    expect(await (await open(bytes)).lookup('images/pxeboot/pxeboot/vmlinuz')).toBeUndefined();
  });

  test('a file that reaches past the end', async () => {
    const bytes = Buffer.from(live);
    const at = bytes.indexOf('VMLINUZ') - 33;
    bytes.writeUInt32LE(0xffffff, at + 10);
    const iso = await open(bytes);
    await expect(iso.extent('images/pxeboot/vmlinuz')).rejects.toMatchObject({
      code: 'ISO_OUT_OF_BOUNDS',
    });
  });
});

test.each([
  ['iso/rock.iso', 0],
  ['iso/live.iso', 18 * 2048], // behind the descriptors
])('10,000 mutations of %s: an answer or a RehydrateError', async (path, from) => {
  const bytes = golden(path);
  // Descriptors and directories, which the reader decodes; the rest only has to exist.
  const structure = bytes.subarray(0, 140_000);
  const whole = Buffer.from(bytes);
  const decode = async (mutated: Uint8Array) => {
    const cut = mutated.length < structure.length;
    if (!cut) whole.set(mutated);
    const iso = await open(cut ? mutated : whole);
    for await (const node of iso.walk()) {
      if (node.kind === 'file') await iso.extent(node.path).catch(rehydrateOnly);
    }
  };
  expect(await survive(structure, 10_000, decode, from)).toBeGreaterThan(500);
});

function rehydrateOnly(error: unknown): void {
  if (!(error instanceof RehydrateError)) throw error;
}
