import { describe, expect, test } from 'vitest';
import { FormatError } from '../../core/errors.ts';
import { estimate } from '../../verbs/estimate/estimate.ts';
import { listArtifacts, shortName } from './artifacts.ts';
import { decodeStream } from './read.ts';

const sha = (digit: string) => digit.repeat(64);
const image = (path: string, more: object = {}) => ({
  ...{ path, sha256: sha('1'), size: 1234 },
  ...(path.endsWith('.gz') ? { 'uncompressed-sha256': sha(`${path.length % 10}`) } : {}),
  ...more,
});
const NAME = 'rhcos-410.84.202110140201-0';
/** A build of RHCOS 4.10, x86_64, as openshift/installer carried it. */
const META = {
  buildid: '410.84.202110140201-0',
  name: 'rhcos',
  'ostree-commit': 'f'.repeat(64),
  amis: [{ name: 'us-east-1', hvm: 'ami-1' }],
  images: {
    aws: image(`${NAME}-aws.x86_64.vmdk.gz`, { 'uncompressed-size': 1053871616 }),
    gcp: image(`${NAME}-gcp.x86_64.tar.gz`),
    'live-iso': image(`${NAME}-live.x86_64.iso`, { size: undefined }),
    'live-kernel': image(`${NAME}-live-kernel-x86_64`),
    'live-initramfs': image(`${NAME}-live-initramfs.x86_64.img`),
    'live-rootfs': image(`${NAME}-live-rootfs.x86_64.img`),
    metal: image(`${NAME}-metal.x86_64.raw.gz`),
    metal4k: image(`${NAME}-metal4k.x86_64.raw.gz`),
    ostree: image(`${NAME}-ostree.x86_64.ociarchive`),
    vmware: image(`${NAME}-vmware.x86_64.ova`, { 'skip-compression': true }),
  },
};
const decode = (meta: object) => decodeStream(Buffer.from(JSON.stringify(meta)), 'meta.json');

describe('meta.json of coreos-assembler', () => {
  test('is read as the stream of its build, with sizes', () => {
    const stream = decode(META);
    expect(stream.stream).toBe('rhcos');
    const list = listArtifacts(stream, 'x86_64');
    expect(list.map((artifact) => [shortName(artifact, list), artifact.format])).toEqual([
      ['aws', 'vmdk.gz'],
      ['gcp', 'tar.gz'],
      ['metal/4k.raw', '4k.raw.gz'],
      ['metal/iso', 'iso'],
      ['metal/pxe/kernel', 'pxe'],
      ['metal/pxe/initramfs', 'pxe'],
      ['metal/pxe/rootfs', 'pxe'],
      ['metal/raw', 'raw.gz'],
      ['vmware', 'ova'],
    ]);
    expect(list[0]).toMatchObject({
      release: META.buildid,
      releasedName: `${NAME}-aws.x86_64.vmdk.gz`,
      releasedSize: 1234,
      attestation: 'uncompressed-sha256',
    });
  });

  test('its architecture comes from the metadata, or from its file names', () => {
    const other = JSON.parse(JSON.stringify(META).replaceAll('x86_64', 's390x'));
    expect(Object.keys(decode(other).architectures)).toEqual(['s390x']);
    const named = { ...META, ref: 'fedora/x86_64/coreos/stable' };
    const whole = { ...named, 'coreos-assembler.basearch': 'x86_64' };
    expect(decode(whole).stream).toBe('stable');
    const images = { aws: image('disk.vmdk') };
    expect(() => decode({ ...META, images })).toThrow(
      /meta\.json\) does not name its architecture/,
    );
    const both = { ...META.images, qemu: image('q.aarch64.qcow2') };
    expect(() => decode({ ...META, images: both })).toThrow(FormatError);
  });

  test('is called by its name where it is malformed', () => {
    const images = { aws: { path: 'x' } };
    expect(() => decode({ ...META, images })).toThrow(/build metadata \(meta\.json\) is malformed/);
  });

  test('serves estimate', async () => {
    const { architectures } = await estimate(decode(META));
    expect(architectures[0]).toMatchObject({ architecture: 'x86_64', uncovered: 0 });
    expect(architectures[0]?.artifacts[0]?.released.size).toBe(1234);
  });
});
