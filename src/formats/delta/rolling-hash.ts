/**
 * Polynomial rolling hash modulo 2^32: h = Σ b[i] · P^(n-1-i). Weak on purpose: every hit is
 * verified byte by byte, so only its speed and spread matter, and it never enters the delta.
 */
const P = 0x01000193;

const P2 = Math.imul(P, P);
const P3 = Math.imul(P2, P);
const P4 = Math.imul(P3, P);
const P5 = Math.imul(P4, P);
const P6 = Math.imul(P5, P);
const P7 = Math.imul(P6, P);
const P8 = Math.imul(P7, P);

/** Eight bytes per iteration: their products are independent, which is much faster. */
export function hashBlock(bytes: Uint8Array, start: number, length: number): number {
  let hash = 0;
  const end = start + length;
  let i = start;
  for (; i + 8 <= end; i += 8) {
    hash =
      (Math.imul(hash, P8) +
        Math.imul(bytes[i] ?? 0, P7) +
        Math.imul(bytes[i + 1] ?? 0, P6) +
        Math.imul(bytes[i + 2] ?? 0, P5) +
        Math.imul(bytes[i + 3] ?? 0, P4) +
        Math.imul(bytes[i + 4] ?? 0, P3) +
        Math.imul(bytes[i + 5] ?? 0, P2) +
        Math.imul(bytes[i + 6] ?? 0, P) +
        (bytes[i + 7] ?? 0)) |
      0;
  }
  for (; i < end; i++) hash = (Math.imul(hash, P) + (bytes[i] ?? 0)) | 0;
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
