import { FormatError } from '../../core/errors.ts';
import { isZero } from '../../core/io/zero.ts';
import { BLOCK, decodeHeader, type TarHeader } from './header.ts';
import { decodePax, type PaxRecords } from './pax.ts';

export type TarKind = 'file' | 'link' | 'folder' | 'other';

/** A member of a tar. Its path is never used as a path on disk. */
export interface TarMember {
  readonly kind: TarKind;
  /** Without `./` and slashes at its ends; a byte of the archive is a character. */
  readonly path: string;
  /** For a hard link: the path of its target. */
  readonly target: string;
  /** For a symbolic link: where it leads, as it is in the archive. It may lead out. */
  readonly symlink?: string;
  /** Size of the contents that follow; 0 if it is not a file. */
  readonly size: number;
  /** Offset of the contents in the tar. */
  readonly offset: number;
}

export type TarEvent =
  | { readonly kind: 'member'; readonly member: TarMember }
  /** The next contents of the last member; points into the pushed chunk. */
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  /** The last member, a file, is complete. */
  | { readonly kind: 'complete' };

export interface TarLimits {
  readonly members: number;
  /** Contents of all members together, bytes. */
  readonly bytes: number;
}

export interface TarDecoder {
  /** The events of `chunk`. */
  push(chunk: Uint8Array): Generator<TarEvent>;
  /**
   * Call right after a member to skip its contents. Returns how many bytes of the tar need not be pushed.
   * The member then has no `complete` event.
   */
  skip(): number;
  /** The end mark was seen; anything after it is ignored. */
  readonly ended: boolean;
  /** Call after the last chunk. Throws FormatError if the archive is cut short. */
  finish(): void;
}

/** Longer names are refused: Linux' PATH_MAX. */
const MAX_NAME = 4096;
/** Room for the extended attributes of a file. */
const MAX_PAX = 1 << 20;
const MAX_SPARSE_BLOCKS = 1 << 16;

/**
 * A streaming decoder of tars in bounded memory, for untrusted input: ustar, GNU tar's long names and
 * sparse maps, pax headers. Not tar-stream, which has no limits for names and headers and returns streams
 * instead of events.
 *
 * Sparse files and devices are members of the kind `other`, whose contents are left out. Throws FormatError
 * `TAR` with the offset; `TAR_PATH` for a path that leads out of the archive, `TAR_TOO_LARGE` past a limit.
 */
export function createTarDecoder(name: string, limits: TarLimits): TarDecoder {
  const block = Buffer.alloc(BLOCK);
  let have = 0;
  /** Of the tar. */
  let position = 0;
  let state: 'header' | 'meta' | 'sparse' | 'data' | 'padding' | 'end' = 'header';
  /** Bytes until the state changes; in `data` of contents, in `meta` of a long name or pax header. */
  let left = 0;
  let padding = 0;
  let meta: { readonly type: string; readonly body: Buffer } | undefined;
  let reported: TarKind = 'other';
  let sparse: { readonly header: TarHeader; blocks: number } | undefined;
  /** Pax headers for the next member only, and for all following members. */
  let next: PaxRecords = {};
  let always: PaxRecords = {};
  let members = 0;
  let bytes = 0;

  const damaged = (problem: string, code: 'TAR' | 'TAR_PATH' | 'TAR_TOO_LARGE' = 'TAR') =>
    new FormatError(`${name} is a tar with ${problem}`, {
      code,
      context: { archive: name, offset: position },
    });

  function said<T>(decode: () => T): T {
    try {
      return decode();
    } catch (error) {
      if (error instanceof FormatError) throw error;
      throw damaged(error instanceof Error ? error.message : String(error));
    }
  }

  function body(size: number): void {
    left = size;
    padding = (BLOCK - (size % BLOCK)) % BLOCK;
  }

  function header(): TarEvent | undefined {
    if (isZero(block)) {
      state = 'end';
      return undefined;
    }
    const decoded = said(() => decodeHeader(block));
    if (++members > limits.members) {
      throw damaged(`more than ${limits.members} members`, 'TAR_TOO_LARGE');
    }
    const { type, size } = decoded;
    if ('xgLK'.includes(type)) {
      if (size > (type === 'x' || type === 'g' ? MAX_PAX : MAX_NAME + 1)) {
        throw damaged('an oversized name or pax header');
      }
      body(size);
      meta = { type, body: Buffer.alloc(size) };
      state = 'meta';
      return size === 0 ? endMeta() : undefined;
    }
    if (decoded.extended) {
      sparse = { header: decoded, blocks: 0 };
      state = 'sparse';
      return undefined;
    }
    return member(decoded);
  }

  function member(decoded: TarHeader): TarEvent {
    const { path = decoded.name, linkpath = decoded.link, ...records } = { ...always, ...next };
    next = {};
    const kind = records.sparse === true ? 'other' : kindOf(decoded.type, path);
    // Links, folders and devices have none, whatever their headers say; as Go's archive/tar has it.
    const size = '123456'.includes(decoded.type) ? 0 : (records.size ?? decoded.size);
    bytes += size;
    if (bytes > limits.bytes) {
      throw damaged(`contents of more than ${limits.bytes} bytes`, 'TAR_TOO_LARGE');
    }
    body(size);
    state = 'data';
    reported = kind;
    const target = kind === 'link' ? clean(linkpath) : '';
    return {
      kind: 'member',
      member: {
        kind,
        path: clean(path),
        target,
        ...(decoded.type === '2' ? { symlink: linkpath } : {}),
        size: kind === 'file' ? size : 0,
        offset: position,
      },
    };
  }

  /** The normalized path. A path that leads out of the archive is an attack. */
  function clean(path: string): string {
    if (path.length > MAX_NAME) throw damaged('an oversized name');
    const parts = path.split('/').filter((part) => part !== '' && part !== '.');
    if (parts.includes('..')) {
      throw damaged(`a path that leads out of it: ${path.slice(0, 80)}`, 'TAR_PATH');
    }
    return parts.join('/');
  }

  function endMeta(): undefined {
    const { type, body: text } = meta ?? { type: '', body: Buffer.alloc(0) };
    meta = undefined;
    state = padding > 0 ? 'padding' : 'header';
    left = padding;
    const long = () => text.toString('latin1').replace(/\0+$/, '');
    if (type === 'L') next.path = long();
    else if (type === 'K') next.linkpath = long();
    else {
      const records = said(() => decodePax(text));
      if (type === 'x') next = { ...next, ...records };
      else always = { ...always, ...records };
    }
    return undefined;
  }

  /** Called at the end of the contents. */
  function endData(): void {
    state = padding > 0 ? 'padding' : 'header';
    left = padding;
  }

  return {
    *push(chunk) {
      for (let at = 0; at < chunk.length || (state === 'data' && left === 0); ) {
        if (state === 'end') return;
        if (state === 'data' && left === 0) {
          endData();
          if (reported === 'file') yield { kind: 'complete' };
          continue;
        }
        if (state === 'header' || state === 'sparse') {
          const part = chunk.subarray(at, at + BLOCK - have);
          block.set(part, have);
          have += part.length;
          at += part.length;
          position += part.length;
          if (have < BLOCK) return;
          have = 0;
          if (state === 'header') {
            const event = header();
            if (event) yield event;
            continue;
          }
          if (sparse === undefined || ++sparse.blocks > MAX_SPARSE_BLOCKS) {
            throw damaged('an endless sparse map');
          }
          if (block[504] !== 0) continue;
          const { header: decoded } = sparse;
          sparse = undefined;
          yield member(decoded);
          continue;
        }
        const part = chunk.subarray(at, at + Math.min(left, chunk.length - at));
        if (state === 'meta' && meta) meta.body.set(part, meta.body.length - left);
        at += part.length;
        position += part.length;
        left -= part.length;
        if (state === 'data' && reported === 'file') yield { kind: 'data', bytes: part };
        if (left > 0) return;
        if (state === 'meta') endMeta();
        else if (state === 'padding') state = 'header';
      }
    },
    skip() {
      if (state !== 'data') return 0;
      const skipped = left + padding;
      position += skipped;
      left = 0;
      state = 'header';
      return skipped;
    },
    get ended() {
      return state === 'end';
    },
    finish() {
      // Go's writers always add an end mark; some others omit it.
      if (state === 'end' || (state === 'header' && have === 0)) return;
      throw damaged('its end cut off');
    },
  };
}

function kindOf(type: string, path: string): TarKind {
  // Before ustar, a trailing slash marked a folder.
  if (type === '5' || (type === '0' && path.endsWith('/'))) return 'folder';
  if (type === '0' || type === '7') return 'file';
  return type === '1' ? 'link' : 'other';
}
