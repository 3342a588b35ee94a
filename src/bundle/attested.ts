import { type MetalVariant, metalVariantOf } from '../../images/platforms.ts';
import { IntegrityError } from '../core/errors.ts';
import {
  type ArtifactId,
  idText,
  isoArtifact,
  listArtifacts,
  plainFormat,
  type StreamArtifact,
} from '../release/stream/artifacts.ts';
import type { Stream } from '../release/stream/schema.ts';
import type { RecipeArtifact, Recipes } from './recipes.ts';

/**
 * Compares everything that the recipes say about the release with the stream that travels beside them. The
 * recipes are derived from the stream, so a change to only one of the two is found here, by every verb alike.
 * Returns the artifacts of the stream that the recipes neither make nor list as missing: a part of a bundle
 * has some. Throws IntegrityError `STREAM_DIFFERS`.
 */
export function checkAttested(recipes: Recipes, stream: Stream): readonly StreamArtifact[] {
  const { architecture } = recipes;
  expectSame('the stream name', recipes.stream.name, stream.stream, architecture);
  if (!Object.hasOwn(stream.architectures, architecture)) {
    throw differs(`the bundle has ${architecture}, its stream does not`, { architecture });
  }
  const listed = listArtifacts(stream, architecture);
  const byId = new Map(listed.map((artifact) => [idText(artifact), artifact]));
  checkIso(recipes, listed);
  for (const artifact of recipes.artifacts) checkArtifact(artifact, byId, recipes);
  for (const { name, release, ...id } of recipes.missing) {
    const known = lookUp(id, byId, recipes);
    const where = `${architecture} ${idText(id)}`;
    expectSame('name', name, known.name, where);
    expectSame('release', release, known.release, where);
  }
  checkDisks(recipes, listed);
  const told = new Set([...recipes.artifacts, ...recipes.missing].map(idText));
  return listed.filter((artifact) => !told.has(idText(artifact)));
}

function checkIso({ iso, architecture, release }: Recipes, listed: readonly StreamArtifact[]) {
  const attested = isoArtifact(listed, architecture);
  const where = `the ISO of ${architecture}`;
  expectSame('SHA-256', iso.sha256, attested.sha256, where);
  expectSame('name', iso.name, attested.name, where);
  expectSame('location', iso.location, attested.location, where);
  expectSame('release', release, attested.release, where);
}

function checkArtifact(
  artifact: RecipeArtifact,
  byId: ReadonlyMap<string, StreamArtifact>,
  recipes: Recipes,
): void {
  const { released } = artifact;
  const where = `${recipes.architecture} ${idText(artifact)}`;
  const listed = lookUp(artifact, byId, recipes);
  expectSame('release', artifact.release, listed.release, where);
  expectSame('release', artifact.release, recipes.release, where);
  expectSame('released file', released.name, listed.releasedName, where);
  expectSame('location', released.location, listed.location, where);
  expectSame('SHA-256 of the released file', released.sha256, listed.releasedSha256, where);
  const attested = isAsServed(artifact, listed) ? asServed(listed) : listed;
  expectSame('name', artifact.name, attested.name, where);
  expectSame('compression', artifact.compression, attested.compression, where);
  expectSame('attestation', artifact.attestation, attested.attestation, where);
  // Where the stream attests the compressed bytes only, `computed` says so.
  if (attested.sha256 !== undefined) {
    expectSame('SHA-256', artifact.sha256, attested.sha256, where);
  }
}

/** If the stream attests only the compressed file, that file itself may be the target. */
function isAsServed({ attestation }: RecipeArtifact, listed: StreamArtifact): boolean {
  return listed.attestation === 'computed' && attestation === 'sha256';
}

/** The released, compressed file as a target, under the digest that the stream gives for it. */
export function asServed(artifact: StreamArtifact): StreamArtifact {
  return {
    ...artifact,
    name: artifact.releasedName,
    compression: 'none',
    attestation: 'sha256',
    sha256: artifact.releasedSha256,
  };
}

function lookUp(
  id: ArtifactId,
  byId: ReadonlyMap<string, StreamArtifact>,
  { architecture }: Recipes,
): StreamArtifact {
  const listed = byId.get(idText(id));
  if (listed) return listed;
  throw differs(`the bundle lists ${architecture} ${idText(id)}, its stream does not`, {
    architecture,
    artifact: idText(id),
  });
}

/** A released disk that the ISO also unpacks to must be that very disk, or be listed as missing. */
function checkDisks({ bases, missing, architecture }: Recipes, listed: readonly StreamArtifact[]) {
  const excused = new Set(missing.map(metalOf));
  for (const artifact of listed) {
    const variant = metalOf(artifact);
    const base = variant && bases[variant];
    if (!base || artifact.sha256 === undefined || excused.has(variant)) continue;
    expectSame('SHA-256', base.sha256, artifact.sha256, `the disk ${variant} of ${architecture}`);
  }
}

/** The base that an artifact should be identical to. */
export function metalOf({ platform, format, file }: ArtifactId): MetalVariant | undefined {
  return file === 'disk' ? metalVariantOf(platform, plainFormat(format)) : undefined;
}

function expectSame(
  what: string,
  found: string | undefined,
  attested: string | undefined,
  where: string,
): void {
  if (found === attested) return;
  throw differs(`the bundle contradicts its own stream: ${what} of ${where}`, {
    bundle: found,
    stream: attested,
  });
}

function differs(message: string, context: Record<string, string | undefined>): IntegrityError {
  return new IntegrityError(message, {
    code: 'STREAM_DIFFERS',
    context,
    hint: 'do not use this bundle: fetch it again and verify its signature',
  });
}
