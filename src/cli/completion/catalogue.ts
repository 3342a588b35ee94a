import { PLATFORMS } from '../../../images/platforms.ts';
import { isBundle, openBundle } from '../../bundle/read.ts';
import { ARCHITECTURES } from '../../core/arch.ts';
import { plainFormat } from '../../release/stream/artifacts.ts';

/** An image that can be asked for. */
export interface Named {
  readonly architecture: string;
  readonly platform: string;
  readonly format: string;
}

export type Catalogue = readonly Named[];

/** The images of a bundle in a folder; of anything else, the platforms and formats of CoreOS: nobody waits for a network here. */
export async function catalogueOf(bundle: string): Promise<Catalogue> {
  try {
    if (!(await isBundle(bundle))) return KNOWN;
    const { recipes } = await openBundle(bundle);
    return recipes.flatMap(({ architecture, artifacts }) =>
      artifacts.map(({ platform, format }) => ({
        ...{ architecture, platform },
        format: plainFormat(format),
      })),
    );
  } catch {
    return KNOWN;
  }
}

const FORMATS = ['raw', '4k.raw', 'iso', 'pxe', 'qcow2', 'vmdk', 'vhd', 'vhdx', 'ova', 'tar'];

const KNOWN: Catalogue = ARCHITECTURES.flatMap((architecture) => [
  ...Object.keys(PLATFORMS).map((platform) => ({ architecture, platform, format: 'raw' })),
  ...FORMATS.map((format) => ({ architecture, platform: 'metal', format })),
]);
