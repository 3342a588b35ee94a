import { FormatError, UnsupportedError } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';
import { type IsoEntry, RELOCATED, readDirectory, readIso } from './iso9660/directory.ts';
import { decodeDirectoryRecord, SECTOR_SIZE } from './iso9660/directory-record.ts';
import { decodeSuspIndicator } from './iso9660/rock-ridge.ts';
import {
  decodeVolumeDescriptor,
  FIRST_DESCRIPTOR_OFFSET,
  type PrimaryVolumeDescriptor,
} from './iso9660/volume-descriptor.ts';
import type { IsoExtent } from './live-iso.ts';

/** A file, directory or link in the ISO. */
export interface IsoNode extends IsoEntry {
  /** Without a leading slash; empty for the root. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/** ISO 9660 with Rock Ridge, read in place. Nothing is extracted, links are not followed. */
export interface Iso9660 {
  readonly source: Source;
  readonly volumeId: string;
  readonly systemId: string;
  /** Size in bytes from the volume descriptor. */
  readonly volumeSize: number;
  readonly rockRidge: boolean;
  /** The node at a path, `undefined` if there is none. `..` is never resolved. */
  lookup(path: string): Promise<IsoNode | undefined>;
  list(directory: IsoNode): Promise<IsoNode[]>;
  /** All nodes, parents first. */
  walk(): AsyncGenerator<IsoNode>;
  /** Where a file's bytes are; `undefined` if there is no such file. */
  extent(path: string): Promise<IsoExtent | undefined>;
  /** The bytes of a small file; `undefined` if there is no such file. */
  readFile(path: string, maxBytes: number): Promise<Uint8Array | undefined>;
}

const MAX_DESCRIPTORS = 64;
const MAX_DEPTH = 32;
const MAX_NODES = 100_000;

/**
 * Reads the volume descriptors and the root of an ISO image.
 *
 * @throws FormatError `ISO_NOT_ISO9660`, `ISO_TRUNCATED` (shorter than its volume),
 * `ISO_BAD_DIRECTORY`, `ISO_BAD_ROCK_RIDGE`, `ISO_OUT_OF_BOUNDS`.
 */
export async function openIso9660(source: Source): Promise<Iso9660> {
  const volume = await readPrimaryVolume(source);
  if (volume.volumeSize > source.size) {
    throw new FormatError(
      `${source.name} is truncated: its volume has ${volume.volumeSize} bytes, the file only ${source.size}`,
      {
        code: 'ISO_TRUNCATED',
        context: { file: source.name, expected: volume.volumeSize, size: source.size },
        hint: 'fetch the ISO again and check its SHA-256',
      },
    );
  }
  const rootOffset = volume.root.block * SECTOR_SIZE;
  const rootSector = await readIso(source, rootOffset, SECTOR_SIZE, 'the root directory');
  const self = decodeDirectoryRecord(rootSector, 0, SECTOR_SIZE, rootOffset);
  const suspSkip = self && decodeSuspIndicator(self.systemUse);

  const root: IsoNode = {
    path: '',
    name: '',
    isoName: undefined,
    kind: 'directory',
    extents: [{ offset: rootOffset, length: volume.root.dataLength }],
    encoded: undefined,
    size: volume.root.dataLength,
  };
  const cache = new Map<string, IsoNode[]>();
  let nodes = 0;

  const list = async (directory: IsoNode): Promise<IsoNode[]> => {
    const known = cache.get(directory.path);
    if (known) return known;
    const extent = directory.extents[0];
    if (directory.kind !== 'directory' || extent === undefined) return [];
    const length = extent.length === RELOCATED ? undefined : extent.length;
    const entries = await readDirectory(source, extent.offset, length, suspSkip);
    nodes += entries.length;
    if (nodes > MAX_NODES) {
      throw new FormatError(`the ISO has more than ${MAX_NODES} files`, {
        code: 'ISO_TOO_MANY_FILES',
        context: { file: source.name, limit: MAX_NODES },
      });
    }
    const prefix = directory.path === '' ? '' : `${directory.path}/`;
    const children = entries.map((entry) => ({
      ...entry,
      path: prefix + entry.name,
      size: entry.extents.reduce((sum, { length }) => sum + Math.max(length, 0), 0),
    }));
    cache.set(directory.path, children);
    return children;
  };

  const lookup = async (path: string): Promise<IsoNode | undefined> => {
    let node: IsoNode | undefined = root;
    const names = path.split('/').filter((name) => name !== '' && name !== '.');
    if (names.length > MAX_DEPTH) return undefined;
    for (const name of names) {
      if (node?.kind !== 'directory') return undefined;
      node = findName(await list(node), name);
    }
    return node;
  };

  const extent = async (path: string): Promise<IsoExtent | undefined> => {
    const node = await lookup(path);
    return node?.kind === 'file' ? contiguousExtent(node, source) : undefined;
  };

  return {
    source,
    volumeId: volume.volumeId,
    systemId: volume.systemId,
    volumeSize: volume.volumeSize,
    rockRidge: suspSkip !== undefined,
    list,
    lookup,
    extent,
    walk: () => walk(root, list),
    async readFile(path, maxBytes) {
      const found = await extent(path);
      if (found === undefined) return undefined;
      if (found.length > maxBytes) {
        throw new FormatError(`${found.path} in the ISO is too large: ${found.length} bytes`, {
          code: 'ISO_FILE_TOO_LARGE',
          context: { path: found.path, size: found.length, limit: maxBytes },
        });
      }
      return readIso(source, found.offset, found.length, found.path);
    },
  };
}

async function readPrimaryVolume(source: Source): Promise<PrimaryVolumeDescriptor> {
  const sector = new Uint8Array(SECTOR_SIZE);
  for (let i = 0; i < MAX_DESCRIPTORS; i++) {
    const offset = FIRST_DESCRIPTOR_OFFSET + i * SECTOR_SIZE;
    if (offset + SECTOR_SIZE > source.size) break;
    await source.read(sector, offset);
    const descriptor = decodeVolumeDescriptor(sector, offset);
    if (descriptor.type === 'primary') return descriptor;
    if (descriptor.type === 'terminator') break;
  }
  throw new FormatError(`${source.name} is not an ISO 9660 image: no primary volume descriptor`, {
    code: 'ISO_NOT_ISO9660',
    context: { file: source.name, size: source.size },
    hint: 'use the CoreOS live ISO, uncompressed, as released',
  });
}

/** Exact name first; then, for names without Rock Ridge, in any case and cut to 8.3. */
function findName(nodes: readonly IsoNode[], name: string): IsoNode | undefined {
  const exact = nodes.find((node) => node.name === name);
  if (exact) return exact;
  const upper = name.toUpperCase();
  const short = upper
    .replace(/^([^.]{1,8})[^.]*(?:\.([^.]{0,3})[^.]*)?$/, '$1.$2')
    .replace(/\.$/, '');
  const legacy = nodes.filter((node) => node.isoName !== undefined);
  return (
    legacy.find((node) => node.isoName?.toUpperCase() === upper) ??
    legacy.find((node) => node.isoName?.toUpperCase() === short)
  );
}

async function* walk(
  root: IsoNode,
  list: (directory: IsoNode) => Promise<IsoNode[]>,
): AsyncGenerator<IsoNode> {
  const pending: { node: IsoNode; depth: number }[] = [{ node: root, depth: 0 }];
  const seen = new Set<number>();
  for (let next = pending.pop(); next; next = pending.pop()) {
    const { node, depth } = next;
    const offset = node.extents[0]?.offset ?? 0;
    if (seen.has(offset) || depth > MAX_DEPTH) {
      throw new FormatError(`directory ${node.path} of the ISO is its own ancestor or too deep`, {
        code: 'ISO_DIRECTORY_LOOP',
        context: { path: node.path, offset, maxDepth: MAX_DEPTH },
      });
    }
    seen.add(offset);
    const children = await list(node);
    yield* children;
    for (const child of children.toReversed()) {
      if (child.kind === 'directory') pending.push({ node: child, depth: depth + 1 });
    }
  }
}

/** One range for the whole file, so that a VM, a delta or another reader can seek in it. */
function contiguousExtent(node: IsoNode, source: Source): IsoExtent {
  const unsupported = (how: string): UnsupportedError =>
    new UnsupportedError(`${node.path} is stored ${how} in the ISO`, {
      code: 'ISO_FRAGMENTED_FILE',
      context: { path: node.path, extents: node.extents.length },
      hint: 'use the ISO as released; it was repacked by another program',
    });
  if (node.encoded) throw unsupported(`${node.encoded}-encoded`);
  const offset = node.extents[0]?.offset ?? 0;
  let end = offset;
  for (const extent of node.extents) {
    if (extent.offset !== end) throw unsupported('in pieces');
    end += extent.length;
  }
  if (end > source.size) {
    throw new FormatError(`${node.path} reaches beyond the end of the ISO`, {
      code: 'ISO_OUT_OF_BOUNDS',
      context: { path: node.path, offset, length: node.size, size: source.size },
      hint: 'fetch the ISO again and check its SHA-256',
    });
  }
  return { path: node.path, offset, length: node.size };
}
