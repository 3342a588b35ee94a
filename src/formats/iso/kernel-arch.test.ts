import fc from 'fast-check';
import { expect, test } from 'vitest';
import { detectKernelArch } from './kernel-arch.ts';

function head(...parts: readonly (readonly [number, string | Buffer])[]): Buffer {
  const bytes = Buffer.alloc(0x10010);
  for (const [at, content] of parts) Buffer.from(content).copy(bytes, at);
  return bytes;
}

const pe = (machine: string) =>
  [
    [0, 'MZ'],
    [0x3c, Buffer.from([0x80])],
    [0x80, Buffer.from(`50450000${machine}`, 'hex')],
  ] as const;
const elf = (ident: string, machine: string) =>
  [
    [0, Buffer.from(`7f454c46${ident}`, 'hex')],
    [18, Buffer.from(machine, 'hex')],
  ] as const;

test.each([
  ['x86 bzImage', head(...pe('6486'), [0x202, 'HdrS']), 'x86_64'],
  ['arm64 Image', head([0, 'MZ'], [56, 'ARM\x64']), 'aarch64'],
  ['arm64 EFI zboot', head(...pe('64aa'), [4, 'zimg']), 'aarch64'],
  ['POWER vmlinux', head(...elf('020101', '1500')), 'ppc64le'],
  ['big-endian POWER', head(...elf('020201', '0015')), undefined],
  ['s390 bzImage', head([0x10008, 'S390EP']), 's390x'],
  ['s390 ELF', head(...elf('020201', '0016')), 's390x'],
  ['gzip', head([0, Buffer.from('1f8b', 'hex')]), undefined],
  ['a short file', Buffer.from('vmlinuz\n'), undefined],
])('%s', (_, bytes, arch) => {
  expect(detectKernelArch(bytes)).toBe(arch);
});

test('arbitrary bytes with a PE offset anywhere throw no exception', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 64, maxLength: 200 }), (bytes) => {
      bytes.set([0x4d, 0x5a]);
      detectKernelArch(bytes);
    }),
  );
});
