import type { MetalVariant } from '../../../images/platforms.ts';
import type { Bundle } from '../../bundle/read.ts';
import type { MetalBase, Recipes } from '../../bundle/recipes.ts';
import { UnsupportedError, UsageError } from '../../core/errors.ts';
import type { Progress } from '../../core/progress/progress.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import type { MetalSources } from '../../engine/cache/regenerate.ts';
import type { EngineReport, MetalEngine } from '../../engine/engine.ts';
import { metalsFromFiles } from '../../engine/files/regenerate.ts';
import { openIsoSource } from '../../engine/files/sources/iso.ts';
import { type Containers, openContainer } from '../../engine/files/sources/open-container.ts';
import { openRootImageIso } from '../../formats/iso/root-image.ts';

export interface MetalsOptions {
  readonly bundle: Bundle;
  readonly recipes: Recipes;
  readonly engine: MetalEngine;
  readonly cache: MetalCache;
  /** Sources of the base `files`, instead of the ISO. */
  readonly containers?: Containers | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
}

type Wanted = ReadonlyMap<MetalVariant, MetalBase>;
type Metals = Promise<{ sources: MetalSources; report: EngineReport }>;

/**
 * Makes metal disks by the road that their bundle has taken: from the base `files`, or `byOsmet`. `isoPath` is the
 * verified ISO, opened only if it is needed. The caller closes the sources.
 */
export async function makeMetals(
  wanted: Wanted,
  options: MetalsOptions & {
    readonly isoPath: () => Promise<string>;
    readonly byOsmet: (wanted: Wanted) => Metals;
  },
): Metals {
  const { recipes, bundle, engine, cache, containers, signal, progress } = options;
  const { files, architecture: arch } = recipes;
  refuseContainers(recipes, containers);
  if (files === undefined) return options.byOsmet(wanted);
  refuseEngine(engine);
  const scratch = await cache.scratch();
  const named = (containers?.names ?? []).map(
    (name) => () => openContainer(name, { connect: connectOf(containers), arch, scratch, signal }),
  );
  const fromIso = async () => {
    const iso = await options.isoPath();
    const { rootImage } = await openRootImageIso(iso, signal);
    return openIsoSource({ iso, rootImage, scratch, signal });
  };
  const sources = named.length > 0 ? named : [fromIso];
  return metalsFromFiles(wanted, { bundle, files, sources, cache, signal, progress });
}

function connectOf(containers: Containers | undefined): Containers['connect'] {
  if (containers === undefined) throw new Error('no containers are named');
  return containers.connect;
}

/** Throws UsageError `CONTAINER_UNUSED` if the disks of the bundle are not made from files. */
export function refuseContainers(
  { files, architecture }: Recipes,
  containers: Containers | undefined,
): void {
  if (files || !containers || containers.names.length === 0) return;
  throw new UsageError(`the ${architecture} disks of the bundle come from the osmets of its ISO`, {
    code: 'CONTAINER_UNUSED',
    hint: 'leave --container out, or make the bundle with `dehydrate --container`',
  });
}

/** Throws UnsupportedError `ISO_NO_OSMET` if the user has named the ISO's own installer. */
export function refuseEngine({ name, named = false }: MetalEngine): void {
  if (!named || !(name === 'qemu' || name === 'both')) return;
  throw new UnsupportedError('the ISO has no osmet: coreos-installer in it cannot unpack a disk', {
    code: 'ISO_NO_OSMET',
    context: { engine: name },
    hint: 'leave --engine out: the disk is made from files (`dehydrate --base files`)',
  });
}
