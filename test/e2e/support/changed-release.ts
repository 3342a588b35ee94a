import { copyFile, open, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { LiveIso } from '../../../src/formats/iso/live-iso.ts';
import { openLiveIso } from '../../../src/formats/iso/open.ts';
import { partialRelease, pick } from './fixture.ts';
import { sha256sum } from './judge.ts';

/** The fixture's metal alone, its ISO replaced by another one. */
export interface ChangedRelease {
  /** The command line arguments that name it. */
  readonly args: string[];
  /** The original ISO. */
  readonly iso: LiveIso;
}

export type Write = (bytes: Uint8Array, at: number) => Promise<void>;

/**
 * Makes a release in `folder/release` whose ISO `make` writes, given the path of the original one. The
 * stream has the SHA-256 of the new ISO.
 */
export async function remadeRelease(
  folder: string,
  arch: string,
  make: (iso: LiveIso, path: string) => Promise<void>,
  editStream: (stream: string, iso: LiveIso) => string = (stream) => stream,
): Promise<ChangedRelease> {
  const artifact = pick('metal', 'iso', 'disk', arch);
  const args = await partialRelease(join(folder, 'release'), [], arch);
  const path = join(folder, 'release', basename(artifact.released));
  await rm(path);
  const iso = await openLiveIso(artifact.released);
  await make(iso, path);
  const stream = join(folder, 'release', 'stream.json');
  const text = (await readFile(stream, 'utf8')).replaceAll(artifact.sha256, await sha256sum(path));
  await writeFile(stream, editStream(text, iso));
  return { args, iso };
}

/** {@link remadeRelease} with a copy of the ISO in which some bytes are changed. */
export function changedRelease(
  folder: string,
  change: (iso: LiveIso, write: Write) => Promise<void>,
  editStream?: (stream: string, iso: LiveIso) => string,
): Promise<ChangedRelease> {
  const make = async (iso: LiveIso, path: string) => {
    await copyFile(iso.path, path);
    await using handle = await open(path, 'r+');
    await change(iso, async (bytes, at) => {
      await handle.write(bytes, 0, bytes.length, at);
    });
  };
  return remadeRelease(folder, 'x86_64', make, editStream);
}
