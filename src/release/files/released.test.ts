import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { execa } from 'execa';
import { afterEach, expect, test } from 'vitest';
import { noise, sha256Of, temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import type { Sha256 } from '../../core/io/digest.ts';
import type { StreamArtifact } from '../stream/artifacts.ts';
import type { Compression } from '../stream/names.ts';
import { findReleased, type ReleasedFile, readReleased } from './released.ts';

const plain = Buffer.concat([noise(700_000, 'r'), Buffer.alloc(2_000_000), Buffer.from('end')]);

async function compress(compression: Compression): Promise<Buffer> {
  switch (compression) {
    case 'none':
      return plain;
    case 'gz':
      return gzipSync(plain, { level: 1 });
    case 'zst':
      return zstdCompressSync(plain);
    case 'xz': {
      const { stdout } = await execa('xz', ['-0', '-c'], { input: plain, encoding: 'buffer' });
      return Buffer.from(stdout);
    }
    case 'zip': {
      await using folder = await temporaryFolder();
      await writeFile(join(folder.path, 'image.vhdx'), plain);
      await execa('zip', ['-q', '-1', 'image.zip', 'image.vhdx'], { cwd: folder.path });
      return await readFile(join(folder.path, 'image.zip')); // before the folder goes
    }
  }
}

async function readAll(file: ReleasedFile, signal?: AbortSignal) {
  const reader = readReleased(file, signal);
  const parts: Uint8Array[] = [];
  for await (const chunk of reader.target) parts.push(chunk);
  return { target: Buffer.concat(parts), digest: reader.fileDigest() };
}

const path = process.env.PATH;
afterEach(() => {
  process.env.PATH = path;
});

test.each(['none', 'gz', 'zst', 'xz', 'zip'] as const)(
  '%s: target and file digest',
  async (compression) => {
    await using folder = await temporaryFolder();
    const file = { path: join(folder.path, 'f'), compression };
    const bytes = await compress(compression);
    await writeFile(file.path, bytes);
    const { target, digest } = await readAll(file);
    expect(target.equals(plain)).toBe(true);
    expect(digest).toEqual({ sha256: sha256Of(bytes), size: bytes.length });
  },
);

test.each(['gz', 'zst', 'xz', 'zip'] as const)(
  '%s: damage is a FormatError',
  async (compression) => {
    await using folder = await temporaryFolder();
    const file = { path: join(folder.path, 'f'), compression };
    const bytes = await compress(compression);
    const flipped = Buffer.from(bytes);
    flipped[3] = (flipped[3] ?? 0) ^ 0xff;
    for (const damaged of [bytes.subarray(0, bytes.length >> 1), flipped, Buffer.from('not it')]) {
      await writeFile(file.path, damaged);
      await expect(readAll(file)).rejects.toMatchObject({ code: 'COMPRESSED_DAMAGED' });
    }
  },
);

test('a consumer that stops early leaves no xz behind', async () => {
  await using folder = await temporaryFolder();
  const file = { path: join(folder.path, 'f'), compression: 'xz' } as const;
  await writeFile(file.path, await compress('xz'));
  for await (const chunk of readReleased(file).target) {
    expect(chunk.length).toBeGreaterThan(0);
    break;
  }
});

test('cancelling ends every way of reading', async () => {
  await using folder = await temporaryFolder();
  for (const compression of ['none', 'gz', 'zst', 'xz'] as const) {
    const file = { path: join(folder.path, compression), compression };
    await writeFile(file.path, await compress(compression));
    const controller = new AbortController();
    const reading = (async () => {
      for await (const _chunk of readReleased(file, controller.signal).target) controller.abort();
    })();
    await expect(reading, compression).rejects.toMatchObject({ kind: 'cancelled' });
  }
});

test('without xz on the host, the error says what to install', async () => {
  await using folder = await temporaryFolder();
  const file = { path: join(folder.path, 'f'), compression: 'xz' } as const;
  await writeFile(file.path, await compress('xz'));
  process.env.PATH = folder.path;
  await expect(readAll(file)).rejects.toMatchObject({
    code: 'TOOL_MISSING',
    hint: expect.stringContaining('xz-utils'),
  });
});

test('the released file is preferred, an unpacked one serves where it is attested', async () => {
  await using folder = await temporaryFolder();
  const artifact: StreamArtifact = {
    platform: 'qemu',
    format: 'qcow2.xz',
    file: 'disk',
    release: '1',
    location: 'https://h/q.qcow2.xz',
    releasedName: 'q.qcow2.xz',
    releasedSha256: 'a'.repeat(64) as Sha256,
    name: 'q.qcow2',
    compression: 'xz',
    attestation: 'uncompressed-sha256',
    sha256: 'b'.repeat(64) as Sha256,
  };
  expect(await findReleased(folder.path, artifact)).toBeUndefined();
  await writeFile(join(folder.path, 'q.qcow2'), '');
  expect(await findReleased(folder.path, artifact)).toMatchObject({ compression: 'none' });
  const computed = { ...artifact, attestation: 'computed', sha256: undefined } as const;
  expect(await findReleased(folder.path, computed)).toBeUndefined();
  await writeFile(join(folder.path, 'q.qcow2.xz'), '');
  expect(await findReleased(folder.path, artifact)).toMatchObject({ compression: 'xz' });
});

test('zip: stored, streamed, and not exactly one file', async () => {
  await using folder = await temporaryFolder();
  const cwd = folder.path;
  await writeFile(join(cwd, 'image.vhdx'), plain);
  await writeFile(join(cwd, 'other'), 'x');
  await execa('zip', ['-q', '-0', 'stored.zip', 'image.vhdx'], { cwd });
  await execa('sh', ['-c', 'cat image.vhdx | zip -q -1 - - > streamed.zip'], { cwd });
  await execa('zip', ['-q', '-1', 'two.zip', 'image.vhdx', 'other'], { cwd });
  const read = (name: string) => readAll({ path: join(cwd, name), compression: 'zip' });
  for (const name of ['stored.zip', 'streamed.zip']) {
    const { target, digest } = await read(name);
    expect(target.equals(plain), name).toBe(true);
    expect(digest.sha256).toBe(sha256Of(await readFile(join(cwd, name))));
  }
  await expect(read('two.zip')).rejects.toMatchObject({ code: 'ZIP_KIND' });
  const whole = await readFile(join(cwd, 'stored.zip'));
  for (const length of [10, 35, 1000, whole.length - 10]) {
    await writeFile(join(cwd, 'cut.zip'), whole.subarray(0, length));
    await expect(read('cut.zip')).rejects.toMatchObject({ code: 'COMPRESSED_DAMAGED' });
  }
});
