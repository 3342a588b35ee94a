/**
 * The deflaters that this program carries, by the name that recipes record. Inflating has one right
 * answer; deflating has one per implementation, and some per release:
 *
 * - `zlib`: since 1.2.5.2 (2011) the releases agree at every level, 1.2.13 and 1.3.2 in our own
 *   tests; patches of distributions speed it up without changing a byte. Debian, RHEL up to 9,
 *   Fedora up to 39.
 * - `zlib-ng` takes its place in Fedora 40 and RHEL 10. Its bytes changed in 2.2.0, 2.2.5 and 2.3.0
 *   (2.2.2 to 2.2.4 agree), and up to 2.1 they depend on the CPU: strings are hashed with
 *   CRC-32C on x86-64 (SSE 4.2) and with CRC-32 on AArch64. From 2.2 on, the hash is the same
 *   everywhere; other SIMD never changes the output. (s390x with its deflate instruction is another
 *   matter altogether, but no VMDK is made there.)
 *
 * - `gzip` is GNU gzip's and Info-ZIP's own, from which zlib's comes and which has not changed since
 *   1993: zlib with what it left out put back (scripts/wasm/gzip.patch), at memLevel 9. For streams
 *   only: no disk image is deflated with it.
 *
 * - `pigz` is zlib as pigz drives it, side by side: in blocks (`blockSize`, 128 KiB unless told otherwise),
 *   each with the end of the one before as its dictionary. For raw streams only, too.
 *
 * - `klauspost` and `go` are Go's: `compress/flate` of Go itself, and that of klauspost/compress, with which
 *   skopeo, buildah, podman and umoci compress layers (the latter in blocks, which pgzip deflates side by
 *   side: `blockSize`). Levels 1 to 6 of klauspost/compress are the same from 1.15 to 1.18.0 and from
 *   1.18.6 (or before) to 1.20. For raw streams only.
 *
 * A name is a promise: its bytes never change. A new release that differs gets a new name. The
 * modules are made by scripts/wasm/make.sh and go.sh. Listed most likely first.
 */
export const LIBRARIES = [
  'zlib-1.3.2',
  'zlib-ng-2.2.4',
  'zlib-ng-2.2.5',
  'zlib-ng-2.3.3',
  'zlib-ng-2.1.6-x86_64',
  'zlib-ng-2.1.6-aarch64',
] as const;

export const GO = ['go-1.26', 'klauspost-1.17.11', 'klauspost-1.18.6'] as const;

export const IMPLEMENTATIONS = [...LIBRARIES, 'gzip', 'pigz', ...GO] as const;

export type Implementation = (typeof IMPLEMENTATIONS)[number];

export type GoImplementation = (typeof GO)[number];

export function isGo(implementation: Implementation): implementation is GoImplementation {
  const names: readonly string[] = GO;
  return names.includes(implementation);
}
