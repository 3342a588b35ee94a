import type { Bundle } from '../../bundle/read.ts';
import type { RecipeArtifact, Recipes } from '../../bundle/recipes.ts';
import { type Arch, isArch } from '../../core/arch.ts';
import { isReleaseDocument } from '../../release/stream/release.ts';

/** A file that the server can deliver. */
export interface ServedFile {
  readonly architecture: Arch;
  readonly recipes: Recipes;
  readonly artifact: RecipeArtifact;
  /** Absolute, not percent-encoded: `/prod/streams/stable/builds/…/x-qemu.x86_64.qcow2`. */
  readonly path: string;
}

/**
 * Everything that can be requested, by path: the paths of the released files' locations, with the target's
 * name. Requests are looked up only here, so none can reach any other file.
 */
export function catalogueOf({ recipes }: Bundle): ReadonlyMap<string, ServedFile> {
  const files = new Map<string, ServedFile>();
  for (const one of recipes) {
    for (const artifact of one.artifacts) {
      const path = pathOf(artifact);
      files.set(path, { architecture: one.architecture, recipes: one, artifact, path });
    }
  }
  return files;
}

/** The path of a target: the folder of its released file. */
export function pathOf({ name, released }: RecipeArtifact): string {
  const path = URL.canParse(released.location)
    ? decoded(new URL(released.location).pathname)
    : `/${released.location}`;
  const folder = path.slice(0, path.lastIndexOf('/')).replace(/\/+/g, '/');
  // Unusual paths are skipped; the name itself is checked by the schema.
  return /^(\/[\w.+~@=,-]+)*$/.test(folder) && !/\/\.\.?(\/|$)/.test(folder)
    ? `${folder}/${name}`
    : `/${name}`;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return '/';
  }
}

interface FileJson {
  location?: unknown;
  sha256?: unknown;
  [name: string]: unknown;
}

/**
 * The bundle's stream JSON with locations at this server. Files are served uncompressed, so `sha256` is the
 * target's; signatures of compressed files are removed. Artifacts that the bundle cannot make are left out.
 * Everything else stays as it is. Accepts release JSON too.
 */
export function rewriteStream(original: unknown, bundle: Bundle, base: string): unknown {
  const made = new Map<string, RecipeArtifact>();
  for (const { architecture, artifacts } of bundle.recipes) {
    for (const artifact of artifacts)
      made.set(`${architecture} ${artifact.released.sha256}`, artifact);
  }
  const stream = structuredClone(original);
  if (!isObject(stream) || !isObject(stream.architectures)) return stream;
  for (const [arch, architecture] of Object.entries(stream.architectures)) {
    if (!isObject(architecture)) continue;
    const platforms = isReleaseDocument(stream) ? architecture.media : architecture.artifacts;
    if (!isObject(platforms)) continue;
    for (const [platform, one] of Object.entries(platforms)) {
      const formats = isObject(one)
        ? isReleaseDocument(stream)
          ? one.artifacts
          : one.formats
        : undefined;
      if (!isObject(formats)) continue;
      for (const [format, files] of Object.entries(formats)) {
        if (!isObject(files)) continue;
        for (const [role, file] of Object.entries(files)) {
          const artifact = isObject(file) ? made.get(`${arch} ${file.sha256}`) : undefined;
          if (artifact && isArch(arch)) files[role] = rewriteFile(file as FileJson, artifact, base);
          else delete files[role];
        }
        if (Object.keys(files).length === 0) delete formats[format];
      }
      if (Object.keys(formats).length === 0) delete platforms[platform];
    }
  }
  return stream;
}

function rewriteFile(file: FileJson, artifact: RecipeArtifact, base: string): FileJson {
  const { signature, ...rest } = file;
  const { sha256, released } = artifact;
  const location = base + pathOf(artifact).split('/').map(encodeURIComponent).join('/');
  // A file that is served as it was released is still the one that was signed.
  const kept = sha256 === released.sha256 && signature !== undefined ? { signature } : {};
  const uncompressed =
    rest['uncompressed-sha256'] === undefined ? {} : { 'uncompressed-sha256': sha256 };
  return { ...rest, location, ...kept, sha256, ...uncompressed };
}

type JsonObject = Record<string, unknown>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
