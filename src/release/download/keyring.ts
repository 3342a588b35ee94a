import { FormatError } from '../../core/errors.ts';
import { readWhole } from '../../core/io/regular.ts';

/** All keys of a distribution are some 100 KiB. */
const MAX_KEYRING = 16 << 20;

/**
 * Reads OpenPGP public keys as gpgv(1) takes them: a binary export or a keybox as it is, ASCII armor (RFC 9580,
 * section 6) decoded. Throws FormatError `KEYRING` for anything else, and what reading it throws.
 */
export async function readKeyring(path: string, signal?: AbortSignal): Promise<Buffer> {
  const bytes = await readWhole(path, { limit: MAX_KEYRING, what: 'the keyring', signal });
  const keys = isKeybox(bytes) || isPublicKey(bytes) ? bytes : dearmor(bytes);
  if (keys !== undefined) return keys;
  throw new FormatError(`${path} is not an OpenPGP keyring`, {
    code: 'KEYRING',
    context: { keyring: path },
    hint: 'name a file of public keys, as `gpg --export` or `gpg --export --armor` writes it',
  });
}

/** GnuPG, kbx/keybox-blob.c: the header blob's magic is at offset 8. */
const isKeybox = (bytes: Buffer) => bytes.subarray(8, 12).toString('latin1') === 'KBXf';

/** RFC 9580, 4.2: the packet of type 6, in the old format with any kind of length, or in the new one. */
const isPublicKey = ([tag = 0]: Uint8Array) => (tag & 0xfc) === 0x98 || tag === 0xc6;

const BEGIN = '-----BEGIN PGP PUBLIC KEY BLOCK-----';
const END = '-----END PGP PUBLIC KEY BLOCK-----';

/** The keys of all blocks; undefined if there is none, or one is damaged. */
function dearmor(bytes: Buffer): Buffer | undefined {
  const blocks: Buffer[] = [];
  const lines = bytes.toString('latin1').split(/\r?\n|\r/);
  for (let at = 0; at < lines.length; at++) {
    if (lines[at]?.trim() !== BEGIN) continue;
    const end = lines.findIndex((line, index) => index > at && line.trim() === END);
    const block = end === -1 ? undefined : decodeBlock(lines.slice(at + 1, end));
    if (block === undefined) return undefined;
    blocks.push(block);
    at = end;
  }
  return blocks.length === 0 ? undefined : Buffer.concat(blocks);
}

/** Headers up to an empty line, Base64, and a checksum that may be absent. */
function decodeBlock(lines: readonly string[]): Buffer | undefined {
  let first = 0;
  while (/^[\w-]+: /.test(lines[first] ?? '')) first++;
  const body = lines.slice(first).map((line) => line.trim());
  const text = body.filter((line) => line !== '');
  const sum = /^=([A-Za-z0-9+/]{4})$/.exec(text.at(-1) ?? '')?.[1];
  const base64 = (sum === undefined ? text : text.slice(0, -1)).join('');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || base64.length % 4 !== 0) return undefined;
  const block = Buffer.from(base64, 'base64');
  if (!isPublicKey(block)) return undefined;
  const isRight = sum === undefined || Buffer.from(sum, 'base64').readUIntBE(0, 3) === crc24(block);
  return isRight ? block : undefined;
}

/** RFC 9580, 6.1.1. */
function crc24(bytes: Uint8Array): number {
  let crc = 0xb704ce;
  for (const byte of bytes) {
    crc ^= byte << 16;
    for (let bit = 0; bit < 8; bit++) {
      crc <<= 1;
      if (crc & 0x1000000) crc ^= 0x1864cfb;
    }
  }
  return crc & 0xffffff;
}
