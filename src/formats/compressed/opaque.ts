const LUKS = Buffer.from('LUKS\xba\xbe', 'latin1');

/** Data that no codec takes apart, by its first bytes: of what is encrypted or compressed, nothing is in any base. */
const OPAQUE: readonly (readonly [what: string, magic: Uint8Array, at?: number])[] = [
  ['encrypted by LUKS', LUKS],
  ['encrypted by BitLocker', Buffer.from('-FVE-FS-'), 3],
  ['encrypted by age', Buffer.from('age-encryption.org/')],
  ['encrypted by OpenSSL', Buffer.from('Salted__')],
  ['encrypted by OpenPGP', Buffer.from('-----BEGIN PGP MESSAGE')],
  ['compressed with lz4', Buffer.of(0x04, 0x22, 0x4d, 0x18)],
  ['compressed with lz4', Buffer.of(0x02, 0x21, 0x4c, 0x18)], // its older format
  ['compressed with bzip2', Buffer.from('BZh')],
  ['compressed with lzip', Buffer.from('LZIP')],
  ['compressed with lzop', Buffer.of(0x89, 0x4c, 0x5a, 0x4f, 0)],
  ['compressed with lzma', Buffer.of(0x5d, 0, 0)], // preset dictionaries, of which all are whole KiB
  ['compressed with compress', Buffer.of(0x1f, 0x9d)],
  ['a 7z archive', Buffer.of(0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c)],
  ['a RAR archive', Buffer.from('Rar!\x1a\x07', 'latin1')],
  ['compressed with xz', Buffer.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0)],
  ['compressed with zstd', Buffer.of(0x28, 0xb5, 0x2f, 0xfd)],
  ['compressed with gzip', Buffer.of(0x1f, 0x8b)],
  ['a zip archive', Buffer.from('PK\x03\x04', 'latin1')],
];

/** What data that begins so is: "compressed with lz4". */
export function opaqueKind(head: Uint8Array): string | undefined {
  return OPAQUE.find(([, magic, at = 0]) => magic.every((byte, i) => head[at + i] === byte))?.[0];
}

/** Whether an encrypted volume begins here; in a disk, most are partitions. */
export function isLuks(bytes: Uint8Array, at: number): boolean {
  return LUKS.every((byte, i) => bytes[at + i] === byte);
}
