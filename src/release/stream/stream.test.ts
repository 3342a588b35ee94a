import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FormatError, RehydrateError } from '../../core/errors.ts';
import { idText, listArtifacts, nameMatches, shortName } from './artifacts.ts';
import { nameOfLocation, splitCompression } from './names.ts';
import { decodeStream } from './read.ts';
import type { Stream } from './schema.ts';

const golden = (name: string) =>
  readFileSync(join(import.meta.dirname, '../../../test/golden/streams', name));
const FCOS = golden('fcos-stable.json');
const RHCOS = golden('rhcos-4.16.json');

test('real streams decode, and every artifact of them is listed', () => {
  const fcos = decodeStream(FCOS, 'fcos');
  const list = listArtifacts(fcos, 'x86_64');
  expect(list.map((artifact) => shortName(artifact, list))).toEqual([
    ...['aliyun', 'applehv', 'aws', 'azure', 'azurestack', 'digitalocean', 'exoscale', 'gcp'],
    ...['hetzner', 'hyperv', 'ibmcloud', 'kubevirt', 'metal/4k.raw', 'metal/iso'],
    ...['metal/pxe/kernel', 'metal/pxe/initramfs', 'metal/pxe/rootfs', 'metal/raw', 'nutanix'],
    ...['openstack', 'oraclecloud', 'proxmoxve', 'qemu', 'virtualbox', 'vmware', 'vultr'],
  ]);
  const rhcos = listArtifacts(decodeStream(RHCOS, 'rhcos'), 's390x');
  expect(rhcos.map(({ platform }) => platform)).toContain('qemu-secex');
});

test('the attestation of a target', () => {
  const list = listArtifacts(decodeStream(FCOS, 'fcos'), 'x86_64');
  const of = (platform: string) => list.find((artifact) => artifact.platform === platform);
  expect(of('qemu')).toMatchObject({
    name: 'fedora-coreos-44.20260707.3.1-qemu.x86_64.qcow2',
    compression: 'xz',
    attestation: 'uncompressed-sha256',
  });
  expect(of('qemu')?.sha256).not.toBe(of('qemu')?.releasedSha256);
  expect(of('nutanix')).toMatchObject({ compression: 'none', attestation: 'sha256' });
  expect(of('nutanix')?.sha256).toBe(of('nutanix')?.releasedSha256);
  // A tar.gz without uncompressed-sha256: only the compressed bytes are attested.
  expect(of('gcp')).toMatchObject({
    compression: 'gz',
    attestation: 'computed',
    sha256: undefined,
  });
  // A zip is compression where the stream knows what is in it.
  expect(of('hyperv')).toMatchObject({
    compression: 'zip',
    attestation: 'uncompressed-sha256',
    name: expect.stringMatching(/\.vhdx$/),
  });
});

test('the error for an absent architecture lists the available ones', () => {
  expect(() => listArtifacts(decodeStream(RHCOS, 'rhcos'), 'x86_64')).toThrow(
    expect.objectContaining({
      code: 'ARCH_ABSENT',
      hint: expect.stringContaining('ppc64le, s390x'),
    }),
  );
});

/** Every path of a JSON value that leads to something else than an object. */
function leaves(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value).flatMap(([key, member]) => leaves(member, [...path, key]));
}

function mutate(bytes: Buffer, path: readonly string[], change: (value: unknown) => unknown) {
  const root: unknown = JSON.parse(bytes.toString());
  let at = root as Record<string, unknown>;
  for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
  const last = path.at(-1) ?? '';
  at[last] = change(at[last]);
  return Buffer.from(JSON.stringify(root));
}

test('a wrong value anywhere that matters is a FormatError with its JSON path', () => {
  const paths = leaves(JSON.parse(RHCOS.toString())).filter((path) => path.includes('artifacts'));
  fc.assert(
    fc.property(
      fc.constantFrom(...paths),
      fc.constantFrom<unknown>(null, 7, true, [], {}, '\x1b]0;x\x07', 'x'.repeat(5000)),
      (path, wrong) => {
        const bytes = mutate(RHCOS, path, () => wrong);
        try {
          decodeStream(bytes, 's');
          expect.unreachable();
        } catch (error) {
          if (!(error instanceof FormatError)) throw error;
          const last = path.at(-1) ?? '';
          expect(error.context.jsonPath).toMatch(/^\$\.architectures\./);
          // An object in place of a string is wrong at its own path too.
          expect(error.context.jsonPath).toContain(last);
        }
      },
    ),
  );
});

test('a truncated or bit-flipped stream never throws anything but our errors', () => {
  fc.assert(
    fc.property(fc.nat(RHCOS.length - 1), fc.nat(7), fc.boolean(), (position, bit, cut) => {
      const bytes = cut ? Buffer.from(RHCOS.subarray(0, position)) : Buffer.from(RHCOS);
      if (!cut) bytes[position] = (bytes[position] ?? 0) ^ (1 << bit);
      try {
        listArtifacts(decodeStream(bytes, 's'), 's390x');
      } catch (error) {
        expect(error).toBeInstanceOf(RehydrateError);
      }
    }),
    { numRuns: 400 },
  );
});

test('the name is the end of the location, and safe', () => {
  const name = (location: string) => nameOfLocation(location, 'x');
  expect(name('https://h/a/b.qcow2.xz?versionId=3#f')).toBe('b.qcow2.xz');
  expect(name('dir/b.iso')).toBe('b.iso');
  expect(name('b.iso')).toBe('b.iso');
  expect(name('https://h/a%2Bb')).toBe('a+b');
  for (const bad of [
    ...['https://h/', '', '..', 'a/..', 'https://h/..%2f..%2fetc%2fpasswd', 'https://h/%00a'],
    ...['https://h/%zz', 'a/.hidden', 'a/-rf', 'https://h/a%5Cb', 'a b'],
  ]) {
    expect(() => name(bad), bad).toThrow(expect.objectContaining({ code: 'LOCATION_NAME' }));
  }
});

test('only compressions are stripped', () => {
  expect(splitCompression('a.qcow2.xz')).toEqual({ name: 'a.qcow2', compression: 'xz' });
  expect(splitCompression('a.tar.gz')).toEqual({ name: 'a.tar', compression: 'gz' });
  expect(splitCompression('a.raw.zst')).toEqual({ name: 'a.raw', compression: 'zst' });
  expect(splitCompression('a.vhdx.zip')).toEqual({ name: 'a.vhdx', compression: 'zip' });
  expect(splitCompression('.xz')).toEqual({ name: '.xz', compression: 'none' });
});

test('two different files with the same name are refused', () => {
  const file = (digit: string) => ({ location: 'https://h/same.iso', sha256: digit.repeat(64) });
  const stream = {
    stream: 's',
    architectures: {
      x86_64: {
        artifacts: {
          a: { release: '1', formats: { iso: { disk: file('a') } } },
          b: { release: '1', formats: { iso: { disk: file('b') } } },
        },
      },
    },
  };
  const decoded: Stream = decodeStream(Buffer.from(JSON.stringify(stream)), 's');
  expect(() => listArtifacts(decoded, 'x86_64')).toThrow(
    expect.objectContaining({ code: 'NAME_CLASH' }),
  );
});

test('each short name means exactly its artifact', () => {
  const list = listArtifacts(decodeStream(FCOS, 'fcos'), 'x86_64');
  for (const artifact of list) {
    for (const name of [shortName(artifact, list), idText(artifact)]) {
      expect(list.filter((other) => nameMatches(name, other))).toEqual([artifact]);
    }
  }
  expect(list.filter((id) => nameMatches('metal/pxe', id))).toHaveLength(3);
  expect(list.filter((id) => nameMatches('metal', id))).toHaveLength(6);
  expect(list.filter((id) => nameMatches('metal/4k.raw.xz', id))).toHaveLength(1);
  expect(list.filter((id) => nameMatches('metal/pxe/kernel/x', id))).toHaveLength(0);
});
