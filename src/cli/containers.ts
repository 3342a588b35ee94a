import type { Containers } from '../engine/files/sources/open-container.ts';
import type { CliIo } from './io.ts';
import type { ContainerOptions } from './option-groups.ts';
import { connectorOf } from './sources.ts';

/** Undefined if none is named. */
export function containersOf(options: ContainerOptions, io: CliIo): Containers | undefined {
  const { container } = options;
  return container && { names: container, connect: connectorOf(options, io) };
}
