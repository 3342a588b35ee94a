import type { Bundle } from '../../bundle/read.ts';
import type { RecipeArtifact, Recipes } from '../../bundle/recipes.ts';
import { type Arch, isArch } from '../../core/arch.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import { isReleaseDocument } from '../../release/stream/release.ts';
import { howTo, isMakeable, type MadeFile, releasedFile, targetFile } from '../make/made-file.ts';

/** A file that the server can deliver. */
export interface ServedFile {
  readonly architecture: Arch;
  readonly recipes: Recipes;
  readonly file: MadeFile & { readonly size: number };
  /** Absolute, not percent-encoded: `/prod/streams/stable/builds/…/x-qemu.x86_64.qcow2.xz`. */
  readonly path: string;
  /** Whether the stream names this file, and not another form of the same artifact. */
  readonly listed: boolean;
}

export interface Catalogue {
  /** By path. */
  readonly files: ReadonlyMap<string, ServedFile>;
  /** Detached signatures of released files. */
  readonly signatures: ReadonlyMap<string, BlobRef>;
  /** Paths that might be requested but do not exist here, with the reason. */
  readonly reasons: ReadonlyMap<string, string>;
}

/**
 * Everything that can be requested, by path: that of the released file's location, and beside it the target's name.
 * Requests are looked up only here, so none can reach any other file.
 */
export function catalogueOf({ recipes }: Pick<Bundle, 'recipes'>): Catalogue {
  const files = new Map<string, ServedFile>();
  const signatures = new Map<string, BlobRef>();
  const reasons = new Map<string, string>();
  for (const one of recipes) {
    const { architecture } = one;
    for (const artifact of one.artifacts) {
      const [target, released] = [targetFile(artifact), releasedFile(artifact)];
      const hasReleased = isServedReleased(artifact);
      for (const file of [target, ...(hasReleased ? [released] : [])]) {
        if (file.size === undefined) continue;
        const path = pathOf(artifact, file.name);
        const listed = file.compressed === (hasReleased && released.compressed);
        const sized = { ...file, size: file.size };
        files.set(path, { architecture, recipes: one, file: sized, path, listed });
      }
      const { signature, name } = artifact.released;
      if (hasReleased && signature) signatures.set(signaturePath(artifact, name), signature);
      if (hasReleased) continue;
      const reason = whyNot(artifact);
      for (const path of [pathOf(artifact, name), ...bothSignatures(artifact)]) {
        reasons.set(path, reason);
      }
    }
  }
  return { files, signatures, reasons };
}

/** Whether the released file itself can be made. */
const isServedReleased = (artifact: RecipeArtifact): boolean => isMakeable(releasedFile(artifact));

const signaturePath = (artifact: RecipeArtifact, name: string) => `${pathOf(artifact, name)}.sig`;

const bothSignatures = (artifact: RecipeArtifact) =>
  [artifact.name, artifact.released.name].map((name) => signaturePath(artifact, name));

/** For clients that check signatures, and for people: says what is here instead of the released file. */
function whyNot({ name, released, sha256, attestation, compression }: RecipeArtifact): string {
  const by =
    attestation === 'uncompressed-sha256'
      ? 'by the `uncompressed-sha256` of the stream that the release publishes'
      : 'by whoever made the bundle, from the released file';
  return [
    `${released.name} cannot be made here: the bundle does not say how it was compressed.`,
    `What can be made is its contents, ${name}.`,
    'The signature of the release is of the compressed file, so there is none for the contents.',
    `They are attested ${by}: SHA-256 ${sha256}.`,
    `To take it all the same, leave its signature unchecked${howTo(compression)}.`,
  ].join('\n');
}

/** The path of an artifact's file: the folder of the released one. */
export function pathOf({ released, ...artifact }: RecipeArtifact, name = artifact.name): string {
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
 * The bundle's stream JSON with locations at this server; digests stay as they are. Where the released file cannot be
 * made, the location is that of its contents and `sha256` theirs; `signature`, which some clients demand, then leads to
 * the reason. Artifacts that the bundle cannot make at all are left out. Accepts release JSON too.
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
  const urlOf = (path: string) => base + path.split('/').map(encodeURIComponent).join('/');
  const { sha256, released } = artifact;
  if (isServedReleased(artifact)) {
    const { name } = releasedFile(artifact);
    // One that the bundle does not carry is where the release has it.
    const signature = released.signature && urlOf(signaturePath(artifact, released.name));
    return {
      ...file,
      location: urlOf(pathOf(artifact, name)),
      ...(signature === undefined ? {} : { signature }),
    };
  }
  // A released file that is not compressed, whatever its name says, is the one that was signed.
  const isSigned = sha256 === released.sha256;
  const signature = isSigned ? file.signature : urlOf(signaturePath(artifact, artifact.name));
  return {
    ...file,
    location: urlOf(pathOf(artifact)),
    sha256,
    ...(file.signature === undefined ? {} : { signature }),
    ...(file['uncompressed-sha256'] === undefined ? {} : { 'uncompressed-sha256': sha256 }),
  };
}

type JsonObject = Record<string, unknown>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
