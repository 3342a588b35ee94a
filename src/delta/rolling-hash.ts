/**
 * Polynomial rolling hash modulo 2^32: h = Σ b[i] · P^(n-1-i). Weak on purpose: every hit is
 * verified byte by byte, so only its speed and spread matter, and it never enters the delta.
 */
const P = 0x01000193;

export function hashBlock(bytes: Uint8Array, start: number, length: number): number {
  let hash = 0;
  const end = start + length;
  for (let i = start; i < end; i++) hash = (Math.imul(hash, P) + (bytes[i] ?? 0)) | 0;
  return hash;
}

/** P^length, the factor with which the byte that leaves a window of `length` is weighted. */
export function outFactor(length: number): number {
  let factor = 1;
  for (let i = 0; i < length; i++) factor = Math.imul(factor, P);
  return factor;
}

/** Slides the window by one byte: `out` leaves, `into` enters. */
export function roll(hash: number, out: number, into: number, factor: number): number {
  return (Math.imul(hash, P) + into - Math.imul(out, factor)) | 0;
}
