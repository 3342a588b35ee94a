/** One answered request. */
export interface RequestLine {
  /** Address of the client; undefined if it is not known any more. */
  readonly client?: string | undefined;
  readonly method: string;
  /** The request target: visible ASCII, all else escaped. */
  readonly path: string;
  /** `1.1`. */
  readonly http?: string | undefined;
  readonly status: number;
  /** Bytes of the body that were really sent. */
  readonly bytes: number;
  /** When the request came, in milliseconds since 1970. */
  readonly time?: number | undefined;
  readonly seconds: number;
  readonly error?: unknown;
}

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** A line in the common log format of web servers, with times in UTC. */
export function commonLog(line: RequestLine): string {
  const { client = '-', method, path, http = '1.1', status, bytes, time = Date.now() } = line;
  const size = bytes > 0 ? String(bytes) : '-';
  return `${client} - - [${stamp(new Date(time))}] "${method} ${path} HTTP/${http}" ${status} ${size}`;
}

function stamp(date: Date): string {
  const two = (number: number) => String(number).padStart(2, '0');
  const day = `${two(date.getUTCDate())}/${MONTHS[date.getUTCMonth()]}/${date.getUTCFullYear()}`;
  const clock = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(':');
  return `${day}:${clock} +0000`;
}
