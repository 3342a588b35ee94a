import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { releasedChecker } from '../../src/codec/released/check.ts';
import { releasedEncoder } from '../../src/codec/released/encode.ts';
import type { ReleasedKind } from '../../src/codec/released/layer.ts';
import { recogniseReleased } from '../../src/codec/released/recognise.ts';
import type { Sink } from '../../src/core/io/sink.ts';
import { openSource } from '../../src/core/io/source.ts';
import { fixtureArches, pick } from './support/fixture.ts';

/**
 * Parts of the fixture's own images, compressed by the system's gzip, zip and xz in the ways of release jobs, and
 * compressed to the same bytes again, as cmp(1) finds them.
 */
const MIB = 1 << 20;
const SIZE = 3 * MIB;
let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'iso-rehydrate-released-'));
  // Where the disk has its files, which are machine code for a large part.
  for (const arch of fixtureArches()) {
    const { released } = pick('qemu', 'qcow2.xz', 'disk', arch);
    const script = 'set +o pipefail; xz -dc "$1" | tail -c +20000000 | head -c "$2" >"$3"';
    await execa('bash', ['-c', script, 'bash', released, String(SIZE), at(arch)]);
    await execa('head', ['-c', String(MIB), at(arch)], { stdout: { file: at(`${arch}-small`) } });
  }
}, 300_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

async function feed(path: string, to: Sink): Promise<void> {
  for await (const chunk of createReadStream(path, { highWaterMark: MIB })) await to.write(chunk);
}

/** Finds out how `file` was made of `target`, and makes it again. */
async function remade(target: string, file: string, kind: ReleasedKind): Promise<void> {
  await using source = await openSource(file);
  const checker = releasedChecker(await recogniseReleased(source, kind), source);
  await feed(target, checker);
  await checker.finish();
  const { agreed } = checker;
  if (agreed === undefined) throw new Error(`nothing makes ${file}`);
  const out = createWriteStream(at('again'));
  const passing = new TransformStream<Uint8Array, Uint8Array>();
  const written = pipeline(passing.readable, out);
  const writer = passing.writable.getWriter();
  const sink: Sink = {
    write: (chunk) => writer.write(Uint8Array.from(chunk)),
    zeros: (length) => writer.write(new Uint8Array(length)),
  };
  const encoder = releasedEncoder(agreed, sink);
  await feed(target, encoder);
  await encoder.finish();
  await writer.close();
  await written;
  await execa('cmp', [file, at('again')]);
}

async function compressed(program: string, args: readonly string[], input: string) {
  const file = at('compressed');
  await execa(program, [...args, '-c'], { inputFile: input, stdout: { file } });
  return file;
}

describe.each(fixtureArches())('%s', (arch) => {
  const levels = arch === 'x86_64' ? [1, 2, 3, 4, 5, 6, 7, 8, 9] : [6];
  test.each(levels)('gzip and zip -%i', async (level) => {
    expect((await stat(at(arch))).size).toBe(SIZE);
    await remade(at(arch), await compressed('gzip', [`-${level}`], at(arch)), 'gz');
    const zip = at(`${arch}-${level}.zip`);
    await execa('zip', ['-q', `-${level}`, zip, at(arch)]);
    await remade(at(arch), zip, 'zip');
  });

  const cheap = arch === 'x86_64' ? ['-0', '-1', '-2'] : ['-0'];
  test.each(cheap.flatMap((preset) => ['-T1', '-T2', '-T0'].map((threads) => [preset, threads])))(
    'xz %s %s',
    async (...args) => {
      await remade(at(arch), await compressed('xz', args, at(arch)), 'xz');
    },
  );

  // Dear levels, as Fedora CoreOS and RHCOS use them, on less.
  const dear =
    arch === 'x86_64'
      ? [
          ['-6', '-T1'],
          ['-9', '-T2'],
          ['-9e', '-T0'],
        ]
      : [];
  test.each(dear)('xz %s %s', async (...args) => {
    const small = at(`${arch}-small`);
    await remade(small, await compressed('xz', args, small), 'xz');
  });
});
