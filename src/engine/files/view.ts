import { FormatError } from '../../core/errors.ts';
import type { FoundContent } from './sources/source.ts';
import type { Change } from './workers/messages.ts';

/** OCI image-spec v1.1, layer.md, "Whiteouts". */
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** A chain of hard links longer than this leads nowhere. */
const MAX_LINKS = 16;

/**
 * The contents of the files that remain when the layers are applied, the lowest first. A file that an upper
 * layer deletes or replaces is gone, though its content may be in another file, or have another name as a
 * hard link. In the order of the layers and of the files in them.
 */
export function contentsInView(layers: readonly (readonly Change[])[]): FoundContent[] {
  const inLayer = layers.map((changes) => {
    const last = new Map<string, Change>();
    for (const change of changes) last.set(change.path, change);
    return last;
  });
  // From the top, so that each path is visited once.
  const taken = new Set<string>();
  /** Paths below which the lower layers are hidden. */
  const closed = new Set<string>();
  const visible: { readonly change: Change; readonly layer: number }[][] = layers.map(() => []);
  for (let layer = layers.length - 1; layer >= 0; layer--) {
    const own: Change[] = [];
    const whiteouts: string[] = [];
    const closing: string[] = [];
    for (const change of inLayer[layer]?.values() ?? []) {
      const { folder, name } = split(change.path);
      if (name === OPAQUE) closing.push(folder);
      else if (name.startsWith(WHITEOUT)) whiteouts.push(join(folder, name.slice(WHITEOUT.length)));
      else own.push(change);
    }
    for (const change of own) {
      if (taken.has(change.path) || isClosed(change.path, closed)) continue;
      visible[layer]?.push({ change, layer });
      closing.push(change.path);
    }
    for (const { change } of visible[layer] ?? []) taken.add(change.path);
    for (const path of whiteouts) {
      taken.add(path);
      closed.add(path);
    }
    for (const path of closing) closed.add(path);
  }

  const found = new Map<string, FoundContent>();
  for (const { change, layer } of visible.flat()) {
    const file = resolve(change, layer, inLayer);
    if (file === undefined || file.size === 0 || found.has(file.sha256)) continue;
    found.set(file.sha256, { ...file, path: change.path });
  }
  return [...found.values()];
}

/** The target of a layer's hard link, in this layer or one below. */
function resolve(
  change: Change,
  layer: number,
  inLayer: readonly ReadonlyMap<string, Change>[],
): (FoundContent & { readonly kind: 'file' }) | undefined {
  let current: Change | undefined = change;
  let from = layer;
  for (let steps = 0; current?.kind === 'link'; steps++) {
    if (steps > MAX_LINKS) {
      throw new FormatError(`the hard link ${change.path} leads nowhere`, {
        code: 'LAYER_LINK',
        context: { path: change.path },
      });
    }
    const { target, path }: { target: string; path: string } = current;
    let next: Change | undefined;
    for (let below = from; below >= 0 && next === undefined; below--) {
      next = inLayer[below]?.get(target);
      // A file that has become a link to itself is the one of a layer below.
      if (next?.path === path && below === from) next = undefined;
      if (next) from = below;
    }
    current = next;
  }
  return current?.kind === 'file' ? (current as FoundContent & { kind: 'file' }) : undefined;
}

function isClosed(path: string, closed: ReadonlySet<string>): boolean {
  for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) {
    if (closed.has(path.slice(0, at))) return true;
  }
  return closed.has('');
}

function split(path: string): { folder: string; name: string } {
  const slash = path.lastIndexOf('/');
  return { folder: slash === -1 ? '' : path.slice(0, slash), name: path.slice(slash + 1) };
}

const join = (folder: string, name: string) => (folder === '' ? name : `${folder}/${name}`);
