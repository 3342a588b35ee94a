/** `node released-run.ts KIND FILE COMPRESSED OUTPUT`: finds out how FILE was compressed, and does it again. */

import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { LAYER_KINDS } from '../../src/bundle/released-layer.ts';
import { releasedChecker } from '../../src/codec/released/check.ts';
import { releasedEncoder } from '../../src/codec/released/encode.ts';
import { recogniseReleased } from '../../src/codec/released/recognise.ts';
import type { Sink } from '../../src/core/io/sink.ts';
import { openSource } from '../../src/core/io/source.ts';

const [wanted, file = '', compressed = '', output = ''] = process.argv.slice(2);
const kind = LAYER_KINDS.find((one) => one === wanted);
if (kind === undefined) throw new Error(`unknown kind ${wanted}`);

async function feed(to: Sink): Promise<void> {
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 }))
    await to.write(chunk);
}

async function timed(run: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await run();
  return (performance.now() - started) / 1000;
}

await using source = await openSource(compressed);
const checker = releasedChecker(await recogniseReleased(source, kind), source);
const find = await timed(async () => {
  await feed(checker);
  await checker.finish();
});
const { agreed } = checker;
if (agreed === undefined) throw new Error(`nothing makes ${compressed}`);

const out = createWriteStream(output);
const write = async (chunk: Uint8Array) => {
  if (!out.write(Uint8Array.from(chunk))) await once(out, 'drain');
};
const sink: Sink = { write, zeros: (length) => write(new Uint8Array(length)) };
const encode = await timed(async () => {
  const encoder = releasedEncoder(agreed, sink);
  await feed(encoder);
  await encoder.finish();
  out.end();
  await once(out, 'finish');
});
console.log(JSON.stringify({ find, encode }));
