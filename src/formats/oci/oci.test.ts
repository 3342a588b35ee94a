import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BUNDLE_TYPE } from '../../bundle/media-types.ts';
import { FormatError } from '../../core/errors.ts';
import { OCI_INDEX, OCI_MANIFEST } from './media-types.ts';
import {
  type Descriptor,
  decodeIndex,
  decodeLayout,
  decodeManifest,
  digestHex,
  encodeIndex,
  encodeLayout,
  encodeManifest,
} from './oci.ts';

const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
const descriptor: fc.Arbitrary<Descriptor> = fc.record(
  {
    mediaType: fc.constantFrom(OCI_MANIFEST, OCI_INDEX, 'application/x+json'),
    digest: hex.map((digits) => `sha256:${digits}` as const),
    size: fc.nat(),
    artifactType: fc.constant(BUNDLE_TYPE),
    platform: fc.constant({ architecture: 's390x', os: 'linux' }),
    annotations: fc.dictionary(
      fc.stringMatching(/^[a-z]{1,9}\.[a-z]{1,9}$/),
      fc.stringMatching(/^[ -~]{0,30}$/),
      { noNullPrototype: true },
    ),
  },
  { requiredKeys: ['mediaType', 'digest', 'size'] },
);

test('index and manifest round trip', () => {
  fc.assert(
    fc.property(fc.array(descriptor, { maxLength: 5 }), descriptor, (layers, config) => {
      const manifest = encodeManifest({ artifactType: BUNDLE_TYPE, config, layers });
      expect(decodeManifest(manifest, 's')).toEqual({
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        artifactType: BUNDLE_TYPE,
        config,
        layers,
      });
      expect(encodeManifest(decodeManifest(manifest, 's'))).toEqual(manifest);
      const index = encodeIndex({ manifests: layers });
      expect(encodeIndex(decodeIndex(index, 's'))).toEqual(index);
    }),
  );
});

test('the layout file is the one of the specification', () => {
  expect(encodeLayout().toString()).toBe('{"imageLayoutVersion":"1.0.0"}');
  decodeLayout(encodeLayout(), 's');
  expect(() => decodeLayout(Buffer.from('{"imageLayoutVersion":"2.0.0"}'), 's')).toThrow(
    FormatError,
  );
});

test('digests that are not SHA-256, or are paths, are refused with their JSON path', () => {
  for (const digest of [
    ...['sha256:../../../etc/passwd', 'sha512:00', `sha256:${'A'.repeat(64)}`, 'sha256:', ''],
    ...[`sha256:${'0'.repeat(64)}/x`, `sha256:${'0'.repeat(64)}\n`],
  ]) {
    const index = { schemaVersion: 2, manifests: [{ mediaType: OCI_MANIFEST, digest, size: 1 }] };
    expect(() => decodeIndex(Buffer.from(JSON.stringify(index)), 's')).toThrow(
      expect.objectContaining({
        context: expect.objectContaining({ jsonPath: '$.manifests[0].digest' }),
      }),
    );
  }
});

test('sizes are whole, not negative and not absurd', () => {
  for (const size of [-1, 0.5, 2 ** 60, '1', null]) {
    const digest = `sha256:${'0'.repeat(64)}`;
    const index = { schemaVersion: 2, manifests: [{ mediaType: OCI_MANIFEST, digest, size }] };
    expect(() => decodeIndex(Buffer.from(JSON.stringify(index)), 's')).toThrow(FormatError);
  }
});

test('a digest is its hex digits', () => {
  expect(digestHex({ digest: `sha256:${'a'.repeat(64)}` })).toBe('a'.repeat(64));
});
