import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PLATFORMS as FIXTURE } from '../scripts/fixture/platforms.ts';
import { ARCHITECTURES } from '../src/core/arch.ts';
import { listArtifacts, plainFormat } from '../src/release/stream/artifacts.ts';
import { decodeStream } from '../src/release/stream/read.ts';
import { detectContainer, HEAD_BYTES } from './containers.ts';
import { chooseBase, expectedImage, PLATFORMS } from './platforms.ts';

const GOLDEN = join(import.meta.dirname, '../test/golden/streams');

const realStreams = readdirSync(GOLDEN)
  .filter((name) => name.endsWith('.json'))
  .map((name) => [name, decodeStream(readFileSync(join(GOLDEN, name)), name)] as const);

test.each(realStreams)('%s: every platform has a row', (_name, stream) => {
  const arches = ARCHITECTURES.filter((arch) => arch in stream.architectures);
  expect(arches).not.toEqual([]);
  for (const arch of arches) {
    for (const { platform } of listArtifacts(stream, arch)) {
      expect(Object.keys(PLATFORMS), platform).toContain(platform);
    }
  }
});

test.each(realStreams)('%s: the fixture makes every platform and format', (_name, stream) => {
  const plain = ({ platform, format }: { platform: string; format: string }) =>
    `${platform}/${plainFormat(format)}`;
  const made = new Set([...FIXTURE, ...METAL].map(plain));
  for (const arch of ARCHITECTURES.filter((each) => each in stream.architectures)) {
    for (const artifact of listArtifacts(stream, arch)) expect(made).toContain(plain(artifact));
  }
});

const METAL = ['iso', 'pxe', 'raw', '4k.raw'].map((format) => ({ platform: 'metal', format }));

test('bases: format first, then platform, then metal', () => {
  const all = new Set(['iso', 'metal', 'metal4k'] as const);
  const base = (
    platform: string,
    format: string,
    available: Parameters<typeof chooseBase>[1] = all,
  ) => chooseBase(expectedImage(platform, plainFormat(format)), available);
  expect(base('metal', '4k.raw.xz')).toBe('metal4k');
  expect(base('metal', '4k.raw.xz', new Set(['iso', 'metal']))).toBe('metal');
  expect(base('metal', 'pxe')).toBe('iso');
  expect(base('metal', 'raw.gz')).toBe('metal');
  expect(base('some-new-cloud', 'qcow2.xz')).toBe('metal');
  expect(base('some-new-cloud', 'qcow2.xz', new Set(['iso']))).toBe('iso');
  expect(expectedImage('constructor', 'toString')).toBeUndefined();
});

test('containers by their bytes', () => {
  const head = (at: number, bytes: string) => {
    const buffer = Buffer.alloc(HEAD_BYTES);
    buffer.write(bytes, at, 'latin1');
    return buffer;
  };
  const none = Buffer.alloc(512);
  expect(detectContainer(head(0, 'QFI\xfb'), none)).toBe('qcow2');
  expect(detectContainer(head(0, 'KDMV'), none)).toBe('vmdk');
  expect(detectContainer(head(0, 'vhdxfile'), none)).toBe('vhdx');
  expect(detectContainer(head(0, 'PK\x03\x04'), none)).toBe('zip');
  expect(detectContainer(head(257, 'ustar'), none)).toBe('tar');
  expect(detectContainer(head(0x8001, 'CD001'), none)).toBe('iso');
  expect(detectContainer(head(512, 'EFI PART'), none)).toBe('raw');
  expect(detectContainer(head(4096, 'EFI PART'), none)).toBe('raw');
  expect(detectContainer(head(0, 'Bf\x02\x13'), none)).toBe('bfb');
  // A fixed VHD is a raw disk with a footer.
  const footer = Buffer.alloc(512);
  footer.write('conectix');
  expect(detectContainer(head(512, 'EFI PART'), footer)).toBe('vhd');
  expect(detectContainer(head(0, 'whatever'), none)).toBe('opaque');
  expect(detectContainer(Buffer.alloc(0), Buffer.alloc(0))).toBe('opaque');
});
