import { expect, test } from 'vitest';
import { emulationHint } from './emulation.ts';
import { guestMemory } from './guest-memory.ts';

const GIB = 2 ** 30;

test.each([
  // A small system fits into the profile's memory; a real one gets what its objects take.
  [{ mapped: 0.2 * GIB, free: 20 * GIB }, 3072],
  [{ mapped: 3 * GIB, free: 20 * GIB }, 3072 + 768 + 512],
  // Half of what the host has free at most, and the profile's memory at least.
  [{ mapped: 3 * GIB, free: 7 * GIB }, 3584],
  [{ mapped: 3 * GIB, free: 4 * GIB }, 3072],
  [{ mapped: 3 * GIB, free: 0 }, 3072],
  [{ mapped: 500 * GIB, free: 900 * GIB }, 16384],
])('%j: %i MiB', (host, expected) => {
  expect(guestMemory(3072, host)).toBe(expected);
});

test('a hint before a long emulated boot only', () => {
  expect(emulationHint('s390x', [1.5 * GIB, 1.5 * GIB])).toBeUndefined();
  expect(emulationHint('x86_64', [6 * GIB, 6 * GIB])).toBe(
    'emulating x86_64 takes 12 minutes or more for 12 GiB of disks; --engine native makes them with the same SHA-256 in seconds',
  );
});
