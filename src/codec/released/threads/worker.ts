import { parentPort, workerData } from 'node:worker_threads';
import { zeroChunks } from '../../../core/io/zero.ts';
import { type EndFlag, isEnding, receive, throwIfEnding } from '../../../core/threads/ending.ts';
import { toFailure } from '../../../core/threads/failure.ts';
import type { Answer, Ask, Reply } from './messages.ts';
import { type Packer, startPacker } from './packer.ts';

/** The entry point of a thread that compresses: answers one message after the other. */
const port = parentPort;
if (port === null) throw new TypeError('worker.ts runs in a worker thread only');

const flag: EndFlag = workerData;
let packer: Packer | undefined;
let before: Promise<unknown> = Promise.resolve();

receive<Ask>(port, flag, (ask) => {
  before = before.then(async () => {
    if (isEnding(flag)) return;
    try {
      const answer = await carryOut(ask);
      const { made, spare, stored } = answer;
      const parts = [made, ...(spare ? [spare] : []), ...(stored ? [stored] : [])];
      const moved = parts.map(({ buffer }) => buffer as ArrayBuffer);
      port.postMessage({ answer } satisfies Reply, moved);
    } catch (error) {
      port.postMessage({ failure: toFailure(error) } satisfies Reply);
    }
  });
});

async function carryOut(ask: Ask): Promise<Answer> {
  if (ask.op === 'start') {
    packer = await startPacker(ask.spec);
    return { made: new Uint8Array(0) };
  }
  if (packer === undefined) throw new TypeError('no stream was started');
  switch (ask.op) {
    case 'data':
      return { made: joined(packer.push(ask.bytes.subarray(0, ask.length))), spare: ask.bytes };
    case 'zeros':
      return { made: joined(pushZeros(packer, ask.length)) };
    case 'end': {
      const made = joined(packer.finish());
      const stored = packer.stored?.();
      return { made, check: packer.check?.(), stored: stored && joined(stored) };
    }
  }
}

function* pushZeros(to: Packer, length: number): Generator<Uint8Array> {
  for (const chunk of zeroChunks(length)) {
    throwIfEnding(flag);
    yield* to.push(chunk);
  }
}

/** Copies, in a buffer that can be moved. */
function joined(pieces: Iterable<Uint8Array>): Uint8Array {
  const copies: Uint8Array[] = [];
  for (const piece of pieces) copies.push(new Uint8Array(piece));
  const [only] = copies;
  if (copies.length === 1 && only) return only;
  const all = new Uint8Array(copies.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const copy of copies) {
    all.set(copy, at);
    at += copy.length;
  }
  return all;
}
