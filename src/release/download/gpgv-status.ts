/** gpgv(1)'s findings about one signature. */
export interface FoundSignature {
  readonly state:
    | 'good'
    /** Of other bytes, or damaged. */
    | 'bad'
    | 'expired-key'
    | 'revoked-key'
    | 'expired-signature'
    /** By a key that is not in the keyring. */
    | 'no-key'
    /** An algorithm that gpgv does not know, for example. */
    | 'unchecked';
  /** Fingerprints of the key and of the primary key that it belongs to, as far as they are known. */
  readonly keys: readonly string[];
}

const STATES: Readonly<Record<string, FoundSignature['state']>> = {
  GOODSIG: 'good',
  BADSIG: 'bad',
  EXPKEYSIG: 'expired-key',
  REVKEYSIG: 'revoked-key',
  EXPSIG: 'expired-signature',
  ERRSIG: 'unchecked',
};

/**
 * Reads the status lines of `gpgv --status-fd` (GnuPG, doc/DETAILS). Its exit status alone says too little: it is 0
 * for signatures by expired and revoked keys, too.
 */
export function parseGpgvStatus(text: string): FoundSignature[] {
  const found: { state: FoundSignature['state']; keys: string[] }[] = [];
  for (const line of text.split('\n')) {
    const [mark, word = '', ...fields] = line.trimEnd().split(' ');
    if (mark !== '[GNUPG:]') continue;
    const state = STATES[word];
    const last = found.at(-1);
    if (state !== undefined) {
      // ERRSIG: key, algorithms, class, time, reason (9: no public key), fingerprint.
      const isUnknown = word === 'ERRSIG' && fields[5] === '9';
      found.push({ state: isUnknown ? 'no-key' : state, keys: fields[0] ? [fields[0]] : [] });
    } else if (word === 'VALIDSIG' && last) {
      last.keys.push(...[fields[0], fields.at(-1)].filter((key) => key !== undefined));
    }
  }
  return found;
}
