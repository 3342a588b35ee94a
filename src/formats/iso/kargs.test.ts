import { describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import { openIso9660 } from './iso9660.ts';
import { readLiveKargs } from './kargs.ts';
import { parseGrubKargs, parseIsolinuxKargs, parsePrmKargs } from './kargs-parse.ts';

const read = async (bytes: Uint8Array) => readLiveKargs(await openIso9660(memorySource(bytes)));

const METAL = 'ignition.firstboot ignition.platform.id=metal';
const FCOS34 = `mitigations=auto,nosmt coreos.liveiso=fedora-coreos-34.20210921.dev.0 ${METAL}`;
const FCOS38 = `mitigations=auto,nosmt coreos.liveiso=fedora-coreos-38.20230718.dev.0 ${METAL}`;

describe('real ISOs, as `coreos-installer iso kargs show` and `dev show iso --kargs` see them', () => {
  test.each([
    [
      '2021-01',
      `random.trust_cpu=on coreos.liveiso=rhcos-47.84.202112162337-0 ${METAL}`,
      1131,
      [94026, 365415],
    ],
    ['2021-09', FCOS34, 1139, [98126, 371658]],
    ['2023-07.x86_64', FCOS38, 1139, [137037, 408522]],
    ['2023-07.s390x', FCOS38, 896, [138368]],
  ])('%s', async (name, kargs, length, offsets) => {
    const found = await read(golden(`iso/embed-areas-${name}.iso`));
    expect(found.kargs).toBe(kargs);
    expect(found.default).toBe(kargs);
    expect(found.areas.map((area) => area.length)).toEqual(offsets.map(() => length));
    const ascending = found.areas.map((area) => area.offset).toSorted((a, b) => a - b);
    expect(ascending).toEqual(offsets);
  });

  test('2020-09 has none but in its bootloader configurations', async () => {
    const bytes = golden('iso/embed-areas-2020-09.iso');
    const kargs = `random.trust_cpu=on rd.luks.options=discard coreos.liveiso=rhcos-46.82.202112161843-0 ${METAL}`;
    const found = { kargs, default: undefined, areas: [] };
    expect(await read(bytes)).toEqual({ ...found, source: 'zipl.prm' });
    // Hide one file after the other, by its Rock Ridge name and its ISO name.
    for (const [name, next] of [
      ['zipl.prm', 'isolinux/isolinux.cfg'],
      ['isolinux.cfg', 'EFI/redhat/grub.cfg'],
    ] as const) {
      rename(bytes, name);
      expect(await read(bytes)).toEqual({ ...found, source: next });
    }
    rename(bytes, 'grub.cfg');
    await expect(read(bytes)).rejects.toMatchObject({ code: 'ISO_NO_KARGS' });
  });
});

describe('a customized ISO', () => {
  test('its own arguments count, and the default is kept', async () => {
    const bytes = golden('iso/live.iso');
    const found = await read(bytes);
    const area = found.areas[0];
    if (area === undefined) throw new Error('no area');
    bytes.write(`${found.kargs} foo=bar\n`.padEnd(area.length, '#'), area.offset);
    expect(await read(bytes)).toEqual({ ...found, kargs: `${found.kargs} foo=bar` });
  });

  test('areas that differ are refused', async () => {
    const bytes = golden('iso/embed-areas-2021-09.iso');
    bytes.write('X', 98126);
    await expect(read(bytes)).rejects.toMatchObject({ code: 'ISO_KARGS_BAD' });
  });
});

test.each<[string, string, string, string]>([
  ['no JSON', '{"default"', '["default"', 'not JSON'],
  ['a wrong type', '"size": 1000', '"size": true', 'size'],
  ['a negative offset', '"offset": 32', '"offset": -2', 'files.0.offset'],
  ['an area past its file', '"offset": 52', '"offset": 99', 'leaves'],
  ['an area that is too large', '"size": 1000', '"size": 9000', 'size'],
  ['a file that does not exist', 'EFI/fedora/grub.cfg"', 'EFI/fedora/grub.cfh"', 'does not exist'],
  ['a directory', '"EFI/fedora/grub.cfg"', '"EFI/fedora"         ', 'does not exist'],
  ['a parent', '"EFI/fedora/grub.cfg"', '"../fedora/grub.cfg"', 'does not exist'],
])('kargs.json with %s is refused', async (_, from, to, message) => {
  const bytes = golden('iso/live.iso');
  const json = bytes.indexOf('{"default": "mitigations');
  const text = bytes.toString('latin1', json, json + 179);
  const source = from.replace(/"offset": \d+/, /"offset": \d+/.exec(text)?.[0] ?? from);
  expect(text).toContain(source);
  bytes.write(text.replace(source, to).padEnd(179).slice(0, 179), json, 'latin1');
  await expect(read(bytes)).rejects.toThrow(message);
});

test('control characters never reach a command line', async () => {
  const bytes = golden('iso/live.iso');
  const [area] = (await read(bytes)).areas;
  bytes.write('a\x1b[2Jb\n', area?.offset ?? 0);
  await expect(read(bytes)).rejects.toMatchObject({ code: 'ISO_KARGS_BAD' });
});

describe('bootloader configurations', () => {
  test('zipl.prm', () => {
    expect(parsePrmKargs('a=1 b\n c="d e"\n')).toBe('a=1 b c="d e"');
    expect(parsePrmKargs(' \n')).toBeUndefined();
  });
  test('isolinux.cfg', () => {
    const text = 'label linux\n  kernel /vmlinuz\n  append initrd=/a.img,/b.img x=1 y\n';
    expect(parseIsolinuxKargs(text)).toBe('x=1 y');
    expect(parseIsolinuxKargs('# no append\n')).toBeUndefined();
  });
  test('grub.cfg', () => {
    expect(parseGrubKargs('\tlinux /images/vmlinuz x=1  y\n\tinitrd /i\n')).toBe('x=1 y');
    expect(parseGrubKargs('linuxefi /v z\n')).toBe('z');
    expect(parseGrubKargs('insmod linux\nlinux /v\n')).toBeUndefined();
  });
});

/** Overwrites the last letter of every occurrence of a file name, in either spelling. */
function rename(bytes: Buffer, name: string): void {
  for (const spelling of [name, name.toUpperCase()]) {
    for (let at = bytes.indexOf(spelling); at !== -1; at = bytes.indexOf(spelling, at + 1)) {
      bytes.write('_', at + spelling.length - 1);
    }
  }
}
