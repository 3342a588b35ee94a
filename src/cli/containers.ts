import type { Command } from 'commander';
import { createHttp } from '../core/http/client.ts';
import type { Containers } from '../engine/files/sources/open-container.ts';
import { openRegistry } from '../registry/client.ts';
import { findCredentials } from '../registry/credentials.ts';
import type { CliIo } from './io.ts';
import { collect } from './options.ts';

/** Options of the commands that take files from container images. */
export interface ContainerOptions {
  readonly container?: string[];
  readonly plainHttp?: true;
  readonly authfile?: string;
}

export function addContainerOptions(command: Command, what: string): Command {
  return command
    .option('--container <name>', what, collect)
    .option('--plain-http', 'with --container: HTTP instead of HTTPS')
    .option('--authfile <file>', 'with --container: login, as skopeo, podman and docker write it');
}

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
