import { createHash } from 'node:crypto';
import { type Arch, OCI_ARCHITECTURE } from '../../src/core/arch.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';

/** Pushes an index, as `tag`, of images that are already in a registry, each tagged with its architecture's name. */
export async function pushIndex(
  host: string,
  repository: string,
  tag: string,
  arches: readonly Arch[],
): Promise<void> {
  const manifests: unknown[] = [];
  const url = `http://${host}/v2/${repository}/manifests`;
  for (const arch of arches) {
    const answer = await fetch(`${url}/${arch}`, { headers: { accept: MANIFEST } });
    const bytes = Buffer.from(await answer.arrayBuffer());
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    const platform = { architecture: OCI_ARCHITECTURE[arch], os: 'linux' };
    manifests.push({ mediaType: MANIFEST, digest, size: bytes.length, platform });
  }
  const put = await fetch(`${url}/${tag}`, {
    ...{ method: 'PUT', headers: { 'content-type': INDEX } },
    body: JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }),
  });
  if (put.status !== 201) throw new Error(`the registry refuses the index: ${put.status}`);
}
