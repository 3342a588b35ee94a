import { createHttp } from '../core/http/client.ts';
import type { Containers } from '../engine/files/sources/open-container.ts';
import { openRegistry } from '../registry/client.ts';
import { findCredentials } from '../registry/credentials.ts';
import type { CliIo } from './io.ts';
import type { ContainerOptions } from './option-groups.ts';

/** Undefined if none is named. */
export function containersOf(
  { container, plainHttp, authfile }: ContainerOptions,
  { env, signal }: CliIo,
): Containers | undefined {
  if (container === undefined) return undefined;
  return {
    names: container,
    async connect(reference) {
      const credentials = await findCredentials(reference, env, { authFile: authfile, signal });
      return openRegistry(reference, { credentials, plainHttp, http: createHttp({ env }), signal });
    },
  };
}
