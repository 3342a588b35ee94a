import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FormatError, UnsupportedError } from '../../../core/errors.ts';
import { openSource, type Source } from '../../../core/io/source.ts';
import type { IsoExtent } from '../../../formats/iso/live-iso.ts';
import { isExt4, listExt4 } from '../../../formats/rootfs/ext4/index.ts';
import { openRootFiles } from '../../../formats/rootfs/index.ts';
import type { ListedFile } from '../../../formats/rootfs/root-files.ts';
import { decodeSuperblock, SUPERBLOCKS_SIZE } from '../../../formats/rootfs/superblock.ts';
import { padded } from '../contents.ts';
import { hashAll } from '../hash-all.ts';
import { makeFile } from '../make-file.ts';
import { unpackFiles } from '../unpack-files.ts';
import { placeBySize } from './place-by-size.ts';
import type { ContentSource, FoundContent, RunOptions } from './source.ts';

/** A content of a pool: a file in which contents lie one after the other. */
export interface PooledContent extends FoundContent {
  /** Its offset in the pool. */
  readonly offset: number;
}

/** The root image of a live ISO. */
export interface IsoSource extends ContentSource, AsyncDisposable {
  /** Like `survey`, and also writes the contents to a new file. */
  pool(file: string, options: RunOptions): Promise<PooledContent[]>;
}

export interface IsoSourceOptions {
  /** Path of the ISO. */
  readonly iso: string;
  readonly rootImage: IsoExtent;
  /** A folder for images that must be unpacked twice. */
  readonly scratch: string;
  readonly signal?: AbortSignal | undefined;
}

/** Of all files together: a hostile image may claim any size. */
const MAX_BYTES = 64 * 2 ** 30;

function tooLarge(image: string): FormatError {
  return new FormatError(`${image} unpacks to more than any operating system has`, {
    code: 'IMAGE_TOO_LARGE',
    context: { image, bytes: MAX_BYTES },
    hint: 'check that the right ISO is named',
  });
}

/** The path of a file system image inside the squashfs of a live system: dracut's dmsquash-live. */
const NESTED = ['LiveOS/rootfs.img', 'LiveOS/ext3fs.img'];

/** Throws what the readers of root images throw, and UnsupportedError `ROOT_IMAGE_KIND`. */
export async function openIsoSource(options: IsoSourceOptions): Promise<IsoSource> {
  const { iso, rootImage, scratch, signal } = options;
  const source = await openSource(iso);
  try {
    const files = distinct(openRootFiles(source, rootImage).list());
    const nested = files.find(({ path }) => NESTED.includes(path));
    const name = `${rootImage.path} of ${basename(iso)}`;
    if (nested === undefined) return isoSource(name, source, files);
    const image = join(scratch, `nested-${randomBytes(6).toString('hex')}.img`);
    await makeFile(image, nested.file.size);
    const placed = { path: nested.path, file: nested.file, offset: 0 };
    await unpackFiles([placed], { image: iso, output: image, signal });
    const inner = await openNested(image, nested.path, `${nested.path} in ${name}`);
    await source.close();
    return inner;
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** Takes over the file `image`: it goes with the source. */
async function openNested(image: string, path: string, name: string): Promise<IsoSource> {
  const source = await openSource(image);
  const close = async () => {
    await source.close();
    await rm(image, { force: true });
  };
  try {
    const files = distinct(listNested(source, path));
    return { ...isoSource(name, source, files), [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

function listNested(source: Source, path: string): Iterable<ListedFile> {
  const head = new Uint8Array(Math.min(SUPERBLOCKS_SIZE, source.size));
  source.readSync(head, 0);
  if (isExt4(head)) return listExt4(source);
  if (decodeSuperblock(head)) {
    return openRootFiles(source, { path, offset: 0, length: source.size }).list();
  }
  const isXfs = Buffer.from(head.subarray(0, 4)).toString('latin1') === 'XFSB';
  throw new UnsupportedError(
    `${path} is ${isXfs ? 'an XFS' : 'no squashfs, erofs or ext4'} image, which cannot be read`,
    {
      code: 'ROOT_IMAGE_KIND',
      context: { image: path },
      hint: 'name a container image of the same release with --container',
    },
  );
}

/** Lists each piece of data once; empty files are skipped. */
function distinct(files: Iterable<ListedFile>): ListedFile[] {
  const byKey = new Map<string, ListedFile>();
  for (const listed of files) {
    if (listed.file.size > 0 && !byKey.has(listed.key)) byKey.set(listed.key, listed);
  }
  return [...byKey.values()];
}

function isoSource(name: string, source: Source, files: readonly ListedFile[]): IsoSource {
  const image = source.name;
  async function pool(output: string, options: RunOptions): Promise<PooledContent[]> {
    let end = 0;
    const placed = files.map(({ path, file }) => {
      const offset = end;
      end += padded(file.size);
      return { path, file, offset };
    });
    if (end > MAX_BYTES) throw tooLarge(name);
    await makeFile(output, end);
    await unpackFiles(placed, { ...options, image, output });
    const sizes = placed.map(({ file }) => file.size);
    const digests = await hashAll(
      output,
      placed.map(({ offset }, index) => ({ offset, size: sizes[index] ?? 0 })),
      options,
    );
    const found = new Map<string, PooledContent>();
    for (const [index, { path, file, offset }] of placed.entries()) {
      const sha256 = digests[index];
      if (sha256 === undefined || found.has(sha256)) continue;
      found.set(sha256, { sha256, size: file.size, path, offset });
    }
    return [...found.values()];
  }
  return {
    name,
    pool,
    survey: () => Promise.reject(new Error('a root image is surveyed by making its pool')),
    fill: (target, options) => placeBySize(files, image, target, options),
    [Symbol.asyncDispose]: () => source.close(),
  };
}
