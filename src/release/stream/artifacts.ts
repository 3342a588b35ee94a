import * as v from 'valibot';
import type { Arch } from '../../core/arch.ts';
import { FormatError, UnsupportedError } from '../../core/errors.ts';
import type { Sha256 } from '../../core/io/digest.ts';
import { nameField } from '../../core/json/fields.ts';
import { type Compression, nameOfLocation, splitCompression } from './names.ts';
import type { Stream, StreamFile } from './schema.ts';

export const FILE_ROLES = ['disk', 'kernel', 'initramfs', 'rootfs'] as const;
export type FileRole = (typeof FILE_ROLES)[number];

/** Schemas of an {@link ArtifactId}'s members. */
export const artifactIdFields = {
  platform: nameField,
  format: nameField,
  file: v.picklist(FILE_ROLES),
};

/** Names one file of one format of one platform, as the stream nests them. */
export interface ArtifactId {
  readonly platform: string;
  /** As the stream spells it, compression included: `qcow2.xz`. */
  readonly format: string;
  readonly file: FileRole;
}

/**
 * The source of the digest of the uncompressed file:
 * - `uncompressed-sha256`: the stream's, of that name;
 * - `sha256`: the stream's, of a file that is served as is;
 * - `computed`: our own, where the stream attests the compressed file only and its compression cannot be
 *   made again (dehydrate finds out; if it can, the artifact is that file, by `sha256`).
 */
export const ATTESTATIONS = ['uncompressed-sha256', 'sha256', 'computed'] as const;
export type Attestation = (typeof ATTESTATIONS)[number];

/** One released file of the stream. */
export interface StreamArtifact extends ArtifactId {
  readonly release: string;
  readonly location: string;
  /** Of its detached GPG signature. */
  readonly signature?: string;
  /** File name of the released file. */
  readonly releasedName: string;
  /** SHA-256 of the released file. */
  readonly releasedSha256: Sha256;
  /** Its size in bytes, if the metadata has it. */
  readonly releasedSize?: number;
  /** File name without its compression suffix: the target. */
  readonly name: string;
  readonly compression: Compression;
  readonly attestation: Attestation;
  /** SHA-256 of the target if the stream has it; undefined for `computed`. */
  readonly sha256: Sha256 | undefined;
}

/**
 * Every file of an architecture, in the order platform, format, role (sorted, so that the same
 * stream always gives the same list). Throws UnsupportedError `ARCH_ABSENT`, FormatError
 * `LOCATION_NAME` or `NAME_CLASH`.
 */
export function listArtifacts(stream: Stream, arch: Arch): StreamArtifact[] {
  const architecture = stream.architectures[arch];
  if (architecture === undefined) {
    const there = Object.keys(stream.architectures).sort().join(', ') || 'none';
    throw new UnsupportedError(`the stream has no architecture ${arch}`, {
      code: 'ARCH_ABSENT',
      context: { stream: stream.stream, architectures: there },
      hint: `choose one of: ${there}`,
    });
  }
  const artifacts: StreamArtifact[] = [];
  for (const [platform, { release, formats }] of sorted(architecture.artifacts)) {
    for (const [format, files] of sorted(formats)) {
      for (const role of FILE_ROLES) {
        const file = files[role];
        if (file === undefined) continue;
        const id = { platform, format, file: role };
        const releasedName = nameOfLocation(file.location, idText(id));
        const { name, compression } = splitReleased(releasedName, file);
        artifacts.push({
          ...id,
          release,
          location: file.location,
          ...(file.signature === undefined ? {} : { signature: file.signature }),
          releasedName,
          releasedSha256: file.sha256,
          ...(file.size === undefined ? {} : { releasedSize: file.size }),
          name,
          compression,
          ...attest(file.sha256, file['uncompressed-sha256'], compression),
        });
      }
    }
  }
  refuseClashes(artifacts);
  return artifacts;
}

/** A zip counts as compression only if the stream has the digest of its contents; else it is the target. */
function splitReleased(name: string, file: StreamFile): ReturnType<typeof splitCompression> {
  const split = splitCompression(name);
  const isTarget = split.compression === 'zip' && file['uncompressed-sha256'] === undefined;
  return isTarget ? { name, compression: 'none' } : split;
}

function attest(
  sha256: Sha256,
  uncompressed: Sha256 | undefined,
  compression: Compression,
): { attestation: Attestation; sha256: Sha256 | undefined } {
  if (compression === 'none') return { attestation: 'sha256', sha256 };
  if (uncompressed) return { attestation: 'uncompressed-sha256', sha256: uncompressed };
  return { attestation: 'computed', sha256: undefined };
}

/** Two different files of one name could not be in one folder, neither released nor rehydrated. */
function refuseClashes(artifacts: readonly StreamArtifact[]): void {
  const seen = new Map<string, StreamArtifact>();
  for (const artifact of artifacts) {
    const other = seen.get(artifact.name);
    if (other && other.releasedSha256 !== artifact.releasedSha256) {
      throw new FormatError(`two artifacts are both called ${artifact.name}`, {
        code: 'NAME_CLASH',
        context: { first: idText(other), second: idText(artifact) },
      });
    }
    seen.set(artifact.name, artifact);
  }
}

function sorted<T>(record: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** The full name of an artifact: `platform/format/file`. */
export function idText({ platform, format, file }: ArtifactId): string {
  return `${platform}/${format}/${file}`;
}

/** `qcow2.xz` → `qcow2`: the format as users ask for it, since targets are never compressed. */
export function plainFormat(format: string): string {
  return splitCompression(format).name;
}

/**
 * The shortest name of each artifact that is clear among `all`: `qemu`, `metal/4k.raw`,
 * `metal/pxe/kernel`. Every one of them is accepted wherever a user names an artifact.
 */
export function shortName(id: ArtifactId, all: readonly ArtifactId[]): string {
  const ofPlatform = all.filter(({ platform }) => platform === id.platform);
  if (ofPlatform.length <= 1) return id.platform;
  const format = plainFormat(id.format);
  const ofFormat = ofPlatform.filter((other) => plainFormat(other.format) === format);
  if (ofFormat.length <= 1) return `${id.platform}/${format}`;
  const ofRole = ofFormat.filter(({ file }) => file === id.file);
  return ofRole.length <= 1 ? `${id.platform}/${format}/${id.file}` : idText(id);
}

/**
 * True if `name` (`qemu`, `metal/4k.raw`, `metal/4k.raw.xz`, `metal/pxe/kernel`) means this
 * artifact; a shorter name means all below it.
 */
export function nameMatches(name: string, { platform, format, file }: ArtifactId): boolean {
  const [wantedPlatform, wantedFormat, wantedFile, ...rest] = name.split('/');
  return (
    rest.length === 0 &&
    wantedPlatform === platform &&
    (wantedFormat === undefined ||
      wantedFormat === format ||
      wantedFormat === plainFormat(format)) &&
    (wantedFile === undefined || wantedFile === file)
  );
}

/** The live ISO among an architecture's artifacts. Throws UnsupportedError `STREAM_NO_ISO`. */
export function isoArtifact(artifacts: readonly StreamArtifact[], arch: Arch): StreamArtifact {
  const iso = artifacts.find(
    ({ format, file }) => plainFormat(format) === 'iso' && file === 'disk',
  );
  if (iso) return iso;
  throw new UnsupportedError(`the stream has no live ISO for ${arch}`, {
    code: 'STREAM_NO_ISO',
    context: { architecture: arch },
    hint: 'use a stream whose metal platform has the format iso',
  });
}
