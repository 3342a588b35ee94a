import { UsageError } from '../core/errors.ts';
import { isSha256, type Sha256 } from '../core/io/digest.ts';

/** `host[:port]/name[:tag][@sha256:digest]`, as distribution-spec and its clients write it. */
export interface Reference {
  /** Host, and port if there is one. */
  readonly host: string;
  readonly name: string;
  /** Undefined where a digest alone is named. */
  readonly tag: string | undefined;
  readonly digest: Sha256 | undefined;
}

const NAME = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const PATTERN = new RegExp(
  `^(?:docker://|oci://)?([A-Za-z0-9.-]+(?::\\d{1,5})?|\\[[0-9a-fA-F:]+\\](?::\\d{1,5})?)/(${NAME}(?:/${NAME})*)(?::([\\w][\\w.-]{0,127}))?(?:@sha256:([0-9a-f]{64}))?$`,
);

/** Throws UsageError `REFERENCE`. A host is always needed: there is no default registry. */
export function parseReference(text: string): Reference {
  const [, host, name, tag, digest] = PATTERN.exec(text) ?? [];
  const isHost = host !== undefined && (/[.:[]/.test(host) || host === 'localhost');
  if (!isHost || name === undefined || (digest !== undefined && !isSha256(digest))) {
    throw new UsageError(`${text} is no reference of an OCI registry`, {
      code: 'REFERENCE',
      hint: 'write it as registry.example.com/name:tag or registry.example.com/name@sha256:…',
    });
  }
  return { host, name, tag: tag ?? (digest ? undefined : 'latest'), digest };
}

export function referenceText({ host, name, tag, digest }: Reference): string {
  return `${host}/${name}${tag ? `:${tag}` : ''}${digest ? `@sha256:${digest}` : ''}`;
}

/** Registries on this very host speak plain HTTP, by the custom of all clients. */
export function isLoopback({ host }: Reference): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/.test(host);
}
