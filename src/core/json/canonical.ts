/**
 * The canonical form of a value: object keys in code unit order, no white space, so that equal values
 * are equal bytes and hash alike (the subset of RFC 8785 that covers strings and safe integers).
 * Members that are `undefined` are left out.
 */
export function canonicalJson(value: unknown): Buffer {
  return Buffer.from(stringify(value), 'utf8');
}

/** Throws TypeError for values without a canonical form: fractions, `undefined` in lists, class instances. */
function stringify(value: unknown): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  if (Array.isArray(value)) return `[${value.map(stringify).join(',')}]`;
  if (typeof value !== 'object' || !isPlain(value)) {
    throw new TypeError(`cannot be canonical JSON: a ${typeof value}`);
  }
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${stringify(member)}`);
  return `{${members.join(',')}}`;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
