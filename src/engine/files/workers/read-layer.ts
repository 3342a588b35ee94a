import { createReadStream } from 'node:fs';
import { osError } from '../../../core/io/os-error.ts';
import { unpackLayer } from '../../../formats/layer/unpack.ts';
import { createTarDecoder } from '../../../formats/tar/decoder.ts';
import type { Change, Job } from './messages.ts';
import type { Taker } from './taker.ts';

const READ = 1 << 20;

/** Streams a layer through the taker. Throws what the readers of its formats throw. */
export async function readLayer(
  job: Extract<Job, { kind: 'layer' }>,
  taker: Taker,
  onRead: (bytes: number) => void,
): Promise<{ changes: Change[]; bytes: number }> {
  const limits = { members: job.maxMembers, bytes: job.maxBytes };
  const decoder = createTarDecoder(job.name, limits);
  const changes: Change[] = [];
  let bytes = 0;
  let file: { readonly path: string; readonly size: number } | undefined;
  for await (const chunk of unpackLayer(job.name, storedOf(job, onRead))) {
    for (const event of decoder.push(chunk)) {
      if (event.kind === 'data') {
        taker.write(event.bytes);
        bytes += event.bytes.length;
      } else if (event.kind === 'complete') {
        if (file) changes.push({ kind: 'file', ...file, sha256: file.size > 0 ? taker.end() : '' });
        file = undefined;
      } else {
        const { kind, path, size, target } = event.member;
        if (kind === 'file') {
          file = { path, size };
          if (size > 0) taker.begin(size);
        } else if (kind === 'link') changes.push({ kind, path, target });
        else if (kind === 'other') changes.push({ kind, path });
      }
    }
    if (decoder.ended) break;
  }
  decoder.finish();
  return { changes, bytes };
}

async function* storedOf(
  { file, start, length }: Extract<Job, { kind: 'layer' }>,
  onRead: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  if (length === 0) return;
  const stream = createReadStream(file, { start, end: start + length - 1, highWaterMark: READ });
  let read = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      yield chunk;
      read += chunk.length;
      onRead(read);
    }
  } catch (error) {
    throw osError(error, 'read', file);
  } finally {
    stream.destroy();
  }
}
