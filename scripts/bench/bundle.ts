import * as v from 'valibot';
import { bytes, table } from './table.ts';

/** An architecture in the `--json` output of `dehydrate`; sizes in bytes. */
export const Architecture = v.object({
  architecture: v.string(),
  iso: v.object({ size: v.number() }),
  artifacts: v.array(
    v.object({
      label: v.string(),
      /** Of delta and codec recipes. */
      deltaSize: v.number(),
      released: v.object({ size: v.number() }),
    }),
  ),
});
export type Architecture = v.InferOutput<typeof Architecture>;
type Artifact = Architecture['artifacts'][number];

/**
 * The size of bundles next to the size of the released, compressed files, for each architecture and for all of
 * them. An artifact that is stored nearly whole, because it is encrypted, is named and left out in a second row.
 */
export function bundleTable(architectures: readonly Architecture[]): string {
  const rows = architectures.flatMap(({ architecture, iso, artifacts }) => {
    const small = artifacts.filter((one) => !isStored(one));
    const stored = artifacts.filter(isStored).map(({ label }) => label);
    const row = (name: string, counted: readonly Artifact[]) => ({ name, iso: iso.size, counted });
    if (stored.length === 0) return [row(architecture, artifacts)];
    return [row(architecture, artifacts), row(`${architecture} but ${stored}`, small)];
  });
  const all = {
    name: 'all',
    iso: sum(architectures, ({ iso }) => iso.size),
    counted: architectures.flatMap(({ artifacts }) => artifacts),
  };
  const but = { ...all, name: 'all but the encrypted one' };
  but.counted = all.counted.filter((one) => !isStored(one));
  const several = architectures.length > 1 ? [all, but] : [];
  return table(
    [
      ...['architecture', 'artifacts', 'released', 'ISO', 'deltas and recipes'],
      ...['with the ISO', 'without it', 'largest'],
    ],
    [...rows, ...several].map(({ name, iso, counted }) => {
      const released = sum(counted, (one) => one.released.size);
      const deltas = sum(counted, ({ deltaSize }) => deltaSize);
      const [largest] = counted.toSorted((a, b) => b.deltaSize - a.deltaSize);
      return [
        ...[name, String(counted.length), bytes(released), bytes(iso), bytes(deltas)],
        ...[share(iso + deltas, released), share(deltas, released - iso)],
        `${bytes(largest?.deltaSize ?? 0)} (${largest?.label})`,
      ];
    }),
  );
}

const isStored = ({ deltaSize, released }: Artifact) => deltaSize > released.size / 2;

const sum = <T>(all: readonly T[], of: (one: T) => number) =>
  all.reduce((total, one) => total + of(one), 0);

/** Three significant digits. */
function share(part: number, whole: number): string {
  return `${((100 * part) / whole).toPrecision(3)} %`;
}
