import * as v from 'valibot';
import { nameField, textField } from '../../core/json/fields.ts';
import { formatSchema, type Stream } from './schema.ts';

/**
 * Release metadata: `release.json` of a Fedora CoreOS build, stream-metadata-go `release/release.go`. It
 * has the contents of a stream for one release, in another structure.
 */
const mediaSchema = v.object({
  /** Absent for cloud images that exist only in a cloud's catalogue. */
  artifacts: v.optional(v.record(nameField, formatSchema)),
});

export const releaseSchema = v.object({
  release: v.pipe(textField(256), v.minLength(1, 'expected a release name')),
  stream: v.pipe(textField(256), v.minLength(1, 'expected a stream name')),
  architectures: v.record(nameField, v.object({ media: v.record(nameField, mediaSchema) })),
});

export type Release = v.InferOutput<typeof releaseSchema>;

/** The stream that has this release on all platforms. */
export function streamOfRelease({ release, stream, architectures }: Release): Stream {
  const entries = Object.entries(architectures).map(([arch, { media }]) => {
    const artifacts = Object.entries(media).flatMap(([platform, { artifacts: formats }]) =>
      formats ? [[platform, { release, formats }] as const] : [],
    );
    return [arch, { artifacts: Object.fromEntries(artifacts) }] as const;
  });
  return { stream, architectures: Object.fromEntries(entries) };
}

/** Whether it is release metadata: only that has `release` at the top. */
export function isReleaseDocument(document: object): boolean {
  return 'release' in document && document.release !== undefined;
}
