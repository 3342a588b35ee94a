/** The first bytes of compressed files; a zip may have anything before its first file. */
const MAGICS = {
  gz: [Buffer.of(0x1f, 0x8b)],
  xz: [Buffer.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0)],
  // A frame, or a skippable one, whose first byte is any of sixteen (RFC 8878 3.1.2).
  zst: [Buffer.of(0x28, 0xb5, 0x2f, 0xfd), ...skippable()],
  zip: [Buffer.from('PK\x03\x04', 'latin1')],
} as const;

export type CompressedKind = keyof typeof MAGICS;

/** The kind of compression that data begins like. */
export function kindOf(head: Uint8Array): CompressedKind | undefined {
  const kinds = Object.keys(MAGICS) as CompressedKind[];
  return kinds.find((kind) => MAGICS[kind].some((magic) => startsWith(head, magic)));
}

/** The problem if a file with this extension begins like another kind; undefined if there is none. */
export function nameKind(head: Uint8Array, extension: CompressedKind): string | undefined {
  const found = kindOf(head);
  if (found === extension || extension === 'zip') return undefined;
  if (found === undefined) return `it does not begin like a .${extension} file`;
  return `it begins like a .${found} file, not like a .${extension} one`;
}

function startsWith(head: Uint8Array, magic: Uint8Array): boolean {
  return magic.every((byte, i) => head[i] === byte);
}

function skippable(): Buffer[] {
  return Array.from({ length: 16 }, (_, i) => Buffer.of(0x50 + i, 0x2a, 0x4d, 0x18));
}
