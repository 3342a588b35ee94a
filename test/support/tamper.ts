import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import {
  createDeltaDecoder,
  encodeCopy,
  encodeEnd,
  encodeLiteralHeader,
  encodeMagic,
} from '../../src/formats/delta/librsync.ts';

type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

const blobOf = (bundle: string, sha256: string) => join(bundle, 'blobs', 'sha256', sha256);
const sum = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/**
 * Makes a bundle contradict its promises: replaces bytes at some offsets in the delta of an artifact, and corrects
 * every digest on the way to index.json, as a forger who signs the result would.
 */
export async function forgeDelta(
  bundle: string,
  delta: string,
  edits: ReadonlyMap<number, number>,
): Promise<void> {
  const before = await readFile(blobOf(bundle, delta));
  const forged = zstdCompressSync(editDelta(zstdDecompressSync(before), edits));
  await replaceBlob(bundle, delta, forged);
}

/** JSON of a blob in a bundle, and of the documents below index.json: its index, first manifest and recipes. */
export async function documentsOf(bundle: string) {
  const parse = async (path: string) => JSON.parse(await readFile(path, 'utf8'));
  const { manifests } = await parse(join(bundle, 'index.json'));
  const hex = ({ digest }: { digest: string }) => digest.slice(7);
  const index = hex(manifests[0]);
  const indexJson = await parse(blobOf(bundle, index));
  const manifest = hex(indexJson.manifests[0]);
  const manifestJson = await parse(blobOf(bundle, manifest));
  const recipes = hex(manifestJson.config);
  const recipesJson = await parse(blobOf(bundle, recipes));
  const stream = recipesJson.stream.sha256 as string;
  return {
    index: { sha256: index, json: indexJson },
    manifest: { sha256: manifest, json: manifestJson },
    recipes: { sha256: recipes, json: recipesJson },
    stream: { sha256: stream, json: await parse(blobOf(bundle, stream)) },
  };
}

export type Documents = Awaited<ReturnType<typeof documentsOf>>;

/** Changes one of these documents, and corrects every digest on the way up to index.json. */
export async function forgeDocument(
  bundle: string,
  which: keyof Documents,
  // biome-ignore lint/suspicious/noExplicitAny: whatever JSON is there
  change: (json: any) => void,
): Promise<void> {
  const { sha256, json } = (await documentsOf(bundle))[which];
  change(json);
  await replaceBlob(bundle, sha256, Buffer.from(JSON.stringify(json)));
}

/** The same delta, except for single bytes of its output. */
function editDelta(delta: Buffer, edits: ReadonlyMap<number, number>): Buffer {
  const decoder = createDeltaDecoder('delta');
  const out: Uint8Array[] = [encodeMagic()];
  const at = [...edits.keys()].sort((a, b) => a - b);
  let position = 0;
  const literal = (data: Uint8Array) => {
    if (data.length > 0) out.push(encodeLiteralHeader(data.length), Buffer.from(data));
  };
  for (const command of decoder.push(delta)) {
    if (command.kind === 'literal') {
      const data = Buffer.from(command.data);
      for (const [offset, byte] of edits) {
        if (offset >= position && offset < position + data.length) data[offset - position] = byte;
      }
      literal(data);
      position += data.length;
      continue;
    }
    let { offset, length } = command;
    const copy = (bytes: number) => {
      if (bytes > 0) out.push(encodeCopy(offset, bytes));
      offset += bytes;
      length -= bytes;
      position += bytes;
    };
    for (const edit of at) {
      if (edit < position || edit >= position + length) continue;
      copy(edit - position);
      literal(Buffer.of(edits.get(edit) ?? 0));
      offset += 1;
      length -= 1;
      position += 1;
    }
    copy(length);
  }
  decoder.finish();
  return Buffer.concat([...out, encodeEnd()]);
}

/** Replaces the bytes of a blob, and corrects every document that names it, up to index.json. */
export async function replaceBlob(bundle: string, old: string, bytes: Uint8Array): Promise<string> {
  const sha256 = sum(bytes);
  await writeFile(blobOf(bundle, sha256), bytes);
  const swap = new Map([[old, { sha256, size: bytes.length }]]);
  const indexPath = join(bundle, 'index.json');
  const index: Json = JSON.parse(await readFile(indexPath, 'utf8'));
  await writeFile(indexPath, JSON.stringify(await mend(bundle, index, swap)));
  return sha256;
}

type Swap = Map<string, { sha256: string; size: number }>;

/** Depth first: JSON blobs that a document names are corrected before the document itself. */
async function mend(bundle: string, value: Json, swap: Swap): Promise<Json> {
  if (Array.isArray(value)) {
    const list: Json[] = [];
    for (const one of value) list.push(await mend(bundle, one, swap));
    return list;
  }
  if (value === null || typeof value !== 'object') return value;
  const digest = String(value.digest ?? value.sha256 ?? '').replace('sha256:', '');
  const isJson = /json/.test(String(value.mediaType)) && !/stream/.test(String(value.mediaType));
  if (isJson && digest !== '') {
    await mendBlob(bundle, digest, swap);
  }
  const made = swap.get(digest);
  const members: { [name: string]: Json } = {};
  for (const [name, member] of Object.entries(value)) {
    members[name] = await mend(bundle, member, swap);
  }
  if (!made) return members;
  if (value.digest !== undefined) members.digest = `sha256:${made.sha256}`;
  if (value.sha256 !== undefined) members.sha256 = made.sha256;
  members.size = made.size;
  return members;
}

async function mendBlob(bundle: string, sha256: string, swap: Swap): Promise<void> {
  if (swap.has(sha256)) return;
  const before = await readFile(blobOf(bundle, sha256));
  const after = Buffer.from(
    JSON.stringify(await mend(bundle, JSON.parse(before.toString()), swap)),
  );
  if (JSON.stringify(JSON.parse(before.toString())) === after.toString()) return;
  swap.set(sha256, { sha256: sum(after), size: after.length });
  await writeFile(blobOf(bundle, sum(after)), after);
}
