import { UsageError } from '../core/errors.ts';
import { isLoopbackHost } from '../core/http/origin.ts';
import { isSha256, type Sha256 } from '../core/io/digest.ts';

/** `host[:port]/name[:tag][@sha256:digest]`, in the grammar of the distribution specification. */
export interface Reference {
  /** Host, and port if there is one. */
  readonly host: string;
  readonly name: string;
  /** Undefined if the reference has only a digest. */
  readonly tag: string | undefined;
  readonly digest: Sha256 | undefined;
}

const NAME = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const PATTERN = new RegExp(
  `^(?:docker://|oci://)?([A-Za-z0-9.-]+(?::\\d{1,5})?|\\[[0-9a-fA-F:]+\\](?::\\d{1,5})?)/(${NAME}(?:/${NAME})*)(?::([\\w][\\w.-]{0,127}))?(?:@sha256:([0-9a-f]{64}))?$`,
);

/** Docker Hub: its name in references, and the host that speaks the protocol. */
const HUB = 'docker.io';
const HUB_HOST = 'registry-1.docker.io';
/** All of them mean Docker Hub. */
export const HUB_NAMES: readonly string[] = [HUB, 'index.docker.io', HUB_HOST];

/** Throws UsageError `REFERENCE`. A host is always needed: there is no default registry. */
export function parseReference(text: string): Reference {
  const [, written, path, tag, digest] = PATTERN.exec(text) ?? [];
  const isHost = written !== undefined && (/[.:[]/.test(written) || written === 'localhost');
  if (!isHost || path === undefined || (digest !== undefined && !isSha256(digest))) {
    const bare = text.replace(/^(?:docker|oci):\/\//, '');
    const isShort = new RegExp(`^${NAME}(?:/${NAME})*(?:[:@][\\w.:-]+)?$`).test(bare);
    throw new UsageError(`${text} is not a valid registry reference`, {
      code: 'REFERENCE',
      hint: isShort
        ? `name the registry, too: registry.example.com/${bare}, or ${HUB}/${bare} for Docker Hub`
        : 'write it as registry.example.com/name:tag or registry.example.com/name@sha256:…',
    });
  }
  const isHub = HUB_NAMES.includes(written.toLowerCase());
  const host = isHub ? HUB : written;
  // As in docker and containers/image: Docker Hub's own images are under `library`.
  const name = isHub && !path.includes('/') ? `library/${path}` : path;
  return { host, name, tag: tag ?? (digest ? undefined : 'latest'), digest };
}

export function referenceText({ host, name, tag, digest }: Reference): string {
  return `${host}/${name}${tag ? `:${tag}` : ''}${digest ? `@sha256:${digest}` : ''}`;
}

/** The host that requests go to. */
export function endpointOf({ host }: Pick<Reference, 'host'>): string {
  return host === HUB ? HUB_HOST : host;
}

/** Registries on loopback addresses speak plain HTTP, as all clients assume. */
export function isLoopback({ host }: Pick<Reference, 'host'>): boolean {
  return isLoopbackHost(host.replace(/:\d+$/, ''));
}
