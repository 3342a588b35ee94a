import { once } from 'node:events';
import { createInflateRaw } from 'node:zlib';
import { FormatError } from '../../core/errors.ts';

/** APPNOTE 4.3.7 and 4.3.16, little endian. */
const LOCAL_HEADER = 0x04034b50;
const LOCAL_HEADER_BYTES = 30;
const END_OF_DIRECTORY = Buffer.from('PK\x05\x06', 'latin1');
const END_BYTES = 22;
const METHOD_STORED = 0;
const METHOD_DEFLATED = 8;
/** The end record, a comment of reasonable length included. */
const TAIL_BYTES = 4096;

/**
 * The contents of a zip that holds one file, front to back: how coreos-assembler compresses images
 * for Windows. Reads the zip to its end. Throws FormatError `COMPRESSED_DAMAGED` or `ZIP_KIND`; what the
 * deflate stream has wrong is thrown as zlib tells it.
 */
export async function* unzip(
  compressed: AsyncIterable<Uint8Array>,
  path: string,
  chunkSize: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const bad: Complaint = (problem, code = 'COMPRESSED_DAMAGED') =>
    new FormatError(`${path} is a zip ${problem}`, {
      code,
      context: { file: path },
      ...(code === 'COMPRESSED_DAMAGED' ? { hint: 'fetch the file again' } : {}),
    });
  let tail = Buffer.alloc(0);
  async function* watched() {
    for await (const chunk of compressed) {
      tail = Buffer.concat([tail, chunk.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES);
      yield chunk;
    }
  }
  const chunks = watched();
  try {
    const { header, rest } = await splitHeader(chunks, bad);
    const method = header.readUInt16LE(8);
    if (method === METHOD_DEFLATED) yield* inflate(rest, chunkSize);
    else if (method === METHOD_STORED) yield* stored(rest, header.readUInt32LE(22), bad);
    else throw bad(`with compression method ${method}`, 'ZIP_KIND');
  } finally {
    await chunks.return(undefined);
  }
  const end = tail.lastIndexOf(END_OF_DIRECTORY);
  if (end === -1 || end + END_BYTES > tail.length) throw bad('that is cut short');
  if (tail.readUInt16LE(end + 10) !== 1) throw bad('of several files', 'ZIP_KIND');
}

type Complaint = (problem: string, code?: string) => FormatError;

/** Cuts off the local header with its name and extra fields. */
async function splitHeader(
  chunks: AsyncGenerator<Uint8Array>,
  bad: Complaint,
): Promise<{ header: Buffer; rest: AsyncGenerator<Uint8Array> }> {
  let head = Buffer.alloc(0);
  const more = async (wanted: number) => {
    while (head.length < wanted) {
      const next = await chunks.next();
      if (next.done) throw bad('that is cut short');
      head = Buffer.concat([head, next.value]);
    }
  };
  await more(LOCAL_HEADER_BYTES);
  if (head.readUInt32LE(0) !== LOCAL_HEADER) throw bad('without a file at its start');
  const length = LOCAL_HEADER_BYTES + head.readUInt16LE(26) + head.readUInt16LE(28);
  await more(length);
  async function* rest() {
    yield head.subarray(length);
    yield* chunks;
  }
  return { header: head.subarray(0, length), rest: rest() };
}

/** Inflates a raw deflate stream and reads on to the end of `chunks`. */
async function* inflate(
  chunks: AsyncIterable<Uint8Array>,
  chunkSize: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const zlib = createInflateRaw({ chunkSize });
  // zlib stops taking input at the end of its stream, hence no pipeline: there is more in the zip.
  const over = Promise.withResolvers<void>();
  let state = 'inflating' as 'inflating' | 'reading on' | 'stopped';
  const feeding = (async () => {
    for await (const chunk of chunks) {
      if (state === 'inflating' && !zlib.write(chunk)) {
        await Promise.race([once(zlib, 'drain').catch(() => {}), over.promise]);
      }
      if (state === 'stopped') return;
    }
    if (state === 'inflating') zlib.end();
  })();

  feeding.catch((error: Error) => zlib.destroy(error));
  try {
    for await (const chunk of zlib as AsyncIterable<Uint8Array>) yield chunk;
    state = 'reading on';
    over.resolve();
    await feeding;
  } finally {
    state = 'stopped';
    over.resolve();
    zlib.destroy();
    await feeding.catch(() => {}); // its error came out of zlib
  }
}

async function* stored(
  chunks: AsyncIterable<Uint8Array>,
  size: number,
  bad: Complaint,
): AsyncGenerator<Uint8Array, void, undefined> {
  let left = size;
  for await (const chunk of chunks) {
    if (left > 0) yield chunk.subarray(0, left);
    left -= Math.min(left, chunk.length);
  }
  if (left > 0) throw bad('that is cut short');
}
