import * as v from 'valibot';
import { ARCHITECTURES, type Arch, isArch } from '../../core/arch.ts';
import { FormatError } from '../../core/errors.ts';
import { nameField, sha256Field, sizeField, textField } from '../../core/json/fields.ts';
import type { FileRole } from './artifacts.ts';
import { splitCompression } from './names.ts';
import type { Stream, StreamFile } from './schema.ts';

/**
 * Build metadata: `meta.json` of a coreos-assembler build (its `src/v1.json`), as much of it as matters here. One
 * architecture, with bare file names and the sizes that a stream does not have. openshift/installer's
 * `rhcos-<arch>.json`, until 4.9, was a part of it, without the architecture.
 */
const imageSchema = v.object({
  path: textField(4096),
  sha256: sha256Field,
  size: v.optional(sizeField),
  'uncompressed-sha256': v.optional(v.nullable(sha256Field)),
  'uncompressed-size': v.optional(v.nullable(sizeField)),
});

export const metaSchema = v.object({
  buildid: v.pipe(textField(256), v.minLength(1, 'expected a build ID')),
  name: v.optional(textField(256)),
  ref: v.optional(v.nullable(textField(256))),
  'coreos-assembler.basearch': v.optional(v.string()),
  images: v.record(nameField, imageSchema),
});

type Meta = v.InferOutput<typeof metaSchema>;

/** Whether it is build metadata: only that has `images` and `buildid` at the top. */
export function isMetaDocument(document: object): boolean {
  return 'buildid' in document && 'images' in document;
}

/** Images with another name or platform in streams than in coreos-assembler. */
const PLACES: ReadonlyMap<string, readonly [platform: string, format: string, role: FileRole]> =
  new Map([
    ['live-iso', ['metal', 'iso', 'disk']],
    ['live-kernel', ['metal', 'pxe', 'kernel']],
    ['live-initramfs', ['metal', 'pxe', 'initramfs']],
    ['live-rootfs', ['metal', 'pxe', 'rootfs']],
    ['metal', ['metal', 'raw', 'disk']],
    ['metal4k', ['metal', '4k.raw', 'disk']],
  ]);

/** Not images of a machine: streams do not have them. */
const NO_IMAGES: ReadonlySet<string> = new Set([
  'ostree',
  'oci-manifest',
  'legacy-oscontainer',
  'initramfs',
  'kernel',
  'iso',
]);

/** The stream that has this build on all its platforms. Throws FormatError `META_ARCH`. */
export function streamOfMeta(meta: Meta, source: string): Stream {
  const arch = archOf(meta, source);
  const artifacts: Stream['architectures'][string]['artifacts'] = {};
  for (const [key, image] of Object.entries(meta.images)) {
    const [platform, format, role] = PLACES.get(key) ?? [key, formatOf(image.path, arch), 'disk'];
    if (NO_IMAGES.has(key) || format === undefined) continue;
    const { compression } = splitCompression(image.path);
    const plain = PLACES.has(key) && role === 'disk' && compression !== 'none';
    artifacts[platform] ??= { release: meta.buildid, formats: {} };
    const { formats } = artifacts[platform];
    const spelt = plain ? `${format}.${compression}` : format;
    formats[spelt] = { ...formats[spelt], [role]: fileOf(image) };
  }
  // `fedora/x86_64/coreos/stable`: the stream is the last part.
  const stream = meta.ref?.split('/').at(-1) || meta.name || meta.buildid;
  return { stream, architectures: { [arch]: { artifacts } } };
}

function fileOf(image: Meta['images'][string]): StreamFile {
  const uncompressed = image['uncompressed-sha256'];
  return {
    location: image.path,
    sha256: image.sha256,
    ...(uncompressed ? { 'uncompressed-sha256': uncompressed } : {}),
    ...(image.size === undefined ? {} : { size: image.size }),
  };
}

/** `rhcos-410.84-aws.x86_64.vmdk.gz` → `vmdk.gz`; nothing for a file that is not named so. */
function formatOf(path: string, arch: Arch): string | undefined {
  const mark = `.${arch}.`;
  const at = path.lastIndexOf(mark);
  return at === -1 ? undefined : path.slice(at + mark.length);
}

function archOf({ images, ...meta }: Meta, source: string): Arch {
  const named = meta['coreos-assembler.basearch'];
  if (named !== undefined && isArch(named)) return named;
  const paths = Object.values(images).map(({ path }) => path);
  const found = ARCHITECTURES.filter((arch) => paths.some((path) => path.includes(`.${arch}.`)));
  const [only, ...more] = found;
  if (only !== undefined && more.length === 0) return only;
  throw new FormatError('the build metadata (meta.json) does not name its architecture', {
    code: 'META_ARCH',
    context: { file: source, found: found.join(', ') || named || 'none' },
    hint: 'use the stream JSON of the release, or a meta.json with coreos-assembler.basearch',
  });
}
