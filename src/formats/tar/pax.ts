/** The changes of a pax extended header to the next member. */
export interface PaxRecords {
  path?: string;
  linkpath?: string;
  /** Bytes. */
  size?: number;
  /** The contents are a sparse file in one of GNU's forms. */
  sparse?: boolean;
}

/** Decodes the "%d %s=%s\n" records of a pax extended header. Unused records are skipped. Throws Error. */
export function decodePax(body: Buffer): PaxRecords {
  const records: PaxRecords = {};
  for (let at = 0; at < body.length; ) {
    const digits = /^([0-9]{1,10}) /.exec(body.toString('latin1', at, at + 11))?.[1] ?? '';
    const end = at + Number(digits || Number.NaN);
    const start = at + digits.length + 1;
    if (!(end > start && end <= body.length) || body[end - 1] !== 0x0a) {
      throw new Error('a malformed pax header');
    }
    const equals = body.indexOf(0x3d, start);
    if (equals === -1 || equals >= end) throw new Error('a malformed pax header');
    const key = body.toString('latin1', start, equals);
    const value = body.toString('latin1', equals + 1, end - 1);
    if (key === 'path') records.path = value;
    else if (key === 'linkpath') records.linkpath = value;
    else if (key === 'size') records.size = sizeOf(value);
    else if (key.startsWith('GNU.sparse.')) records.sparse = true;
    at = end;
  }
  return records;
}

function sizeOf(value: string): number {
  const size = /^[0-9]{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(size)) throw new Error('a malformed size in its pax header');
  return size;
}
