import { BASE_NAMES, expectedImage } from '../../../images/platforms.ts';
import { notPulled, pullCommand } from '../../bundle/pulled.ts';
import type { Bundle } from '../../bundle/read.ts';
import { blobsOf, blobsOfBase, type RecipeArtifact, type Recipes } from '../../bundle/recipes.ts';
import { layerText } from '../../bundle/released-layer.ts';
import { NO_TRUST, type Trust, voucherOf } from '../../bundle/trust.ts';
import type { Arch } from '../../core/arch.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import { formatBytes, formatShare } from '../../core/text/bytes.ts';
import { type Column, renderTable } from '../../core/text/table.ts';
import { plainFormat, shortName } from '../../release/stream/artifacts.ts';
import { filesLines } from './files-report.ts';

/** The contents of a bundle and the images it can make. Plain data, printed by `--json`. Sizes in bytes. */
export interface BundleReport {
  readonly path: string;
  readonly architectures: readonly ArchitectureReport[];
  /** All blobs that recipes refer to, each once. */
  readonly size: number;
}

export interface ArchitectureReport {
  readonly architecture: Arch;
  readonly stream: string;
  readonly release: string;
  readonly iso: Recipes['iso'];
  readonly bases: Recipes['bases'];
  /** Undefined if the disks come from osmets. */
  readonly files?: Recipes['files'];
  readonly artifacts: readonly ArtifactReport[];
  readonly missing: Recipes['missing'];
  /** Artifacts with recipes whose blobs the folder lacks, because only a part of the bundle was pulled. */
  readonly notPulled?: {
    readonly iso: boolean;
    /** Short names, as `--platform` takes them. */
    readonly artifacts: readonly string[];
    /** How to get them. */
    readonly hint: string;
  };
  readonly totals: {
    readonly artifacts: number;
    /** Uncompressed. */
    readonly size: number;
    /** Compressed size as released, where known. */
    readonly releasedSize: number;
    /** Deltas and the recipes of codecs together. */
    readonly deltaSize: number;
  };
}

export interface ArtifactReport extends RecipeArtifact {
  /** Short name that `--platform` takes. */
  readonly label: string;
  /** Size of its delta and the recipes of its layers together. */
  readonly deltaSize: number;
  /** Who vouches for its digest: `bundle`, `index`, the verifier of a signature, a trusted stream, or `nobody`. */
  readonly vouchedBy: string;
}

export async function reportBundle(bundle: Bundle): Promise<BundleReport> {
  const { path, origin, recipes } = bundle;
  const blobs = new Map<string, number>();
  const count = ({ sha256, size }: BlobRef) => blobs.set(sha256, size);
  for (const one of recipes) {
    const { iso, stream, artifacts } = one;
    if (iso.embedded) count(iso);
    for (const base of BASE_NAMES) blobsOfBase(one, base).forEach(count);
    count(stream);
    for (const { recipe, released } of artifacts) {
      blobsOf(recipe).forEach(count);
      if (released.signature) count(released.signature);
    }
  }
  const size = [...blobs.values()].reduce((sum, bytes) => sum + bytes, 0);
  const architectures: ArchitectureReport[] = [];
  for (const one of recipes) {
    // Blobs in a registry are fetched when they are needed.
    const absent = origin === undefined ? await reportNotPulled(bundle, one) : undefined;
    architectures.push({
      ...reportArchitecture(one, bundle.trust),
      ...(absent ? { notPulled: absent } : {}),
    });
  }
  return { path: origin ?? path, size, architectures };
}

async function reportNotPulled(bundle: Bundle, recipes: Recipes) {
  const { iso, artifacts } = await notPulled(bundle, recipes);
  if (!iso && artifacts.size === 0) return undefined;
  const names = [...artifacts.keys()].map((artifact) => shortName(artifact, recipes.artifacts));
  const pull =
    artifacts.size > 0
      ? pullCommand(bundle, recipes, artifacts.keys())
      : `iso-rehydrate pull REF -o ${bundle.path}`;
  return { iso, artifacts: names, hint: pull };
}

export function reportArchitecture(recipes: Recipes, trust: Trust = NO_TRUST): ArchitectureReport {
  const { architecture, stream, release, iso, bases, files, artifacts, missing } = recipes;
  const sum = (of: (artifact: RecipeArtifact) => number) =>
    artifacts.reduce((total, artifact) => total + of(artifact), 0);
  return {
    architecture,
    stream: stream.name,
    release,
    iso,
    bases,
    ...(files ? { files } : {}),
    artifacts: artifacts.map((artifact) => ({
      label: shortName(artifact, artifacts),
      deltaSize: deltaSize(artifact),
      vouchedBy: vouchedBy(artifact, architecture, trust),
      ...artifact,
    })),
    missing,
    totals: {
      artifacts: artifacts.length,
      size: sum(({ size }) => size),
      releasedSize: sum(({ released }) => released.size ?? 0),
      deltaSize: sum(deltaSize),
    },
  };
}

/** One section per architecture, after an overview if there are several. */
export function renderBundleReport({ path, size, architectures }: BundleReport): string {
  const head = `bundle ${path}: ${formatBytes(size)}\n`;
  const overview = architectures.length > 1 ? [renderTable(OVERVIEW, architectures)] : [];
  const sections = architectures.map((one) => renderArchitecture(one, [...COLUMNS, VOUCHER]));
  return [head, ...overview, ...sections].join('\n');
}

const OVERVIEW: readonly Column<ArchitectureReport>[] = [
  { title: 'ARCHITECTURE', cell: ({ architecture }) => architecture },
  { title: 'RELEASE', cell: ({ release }) => release },
  { title: 'ISO', align: 'right', cell: ({ iso }) => formatBytes(iso.size) },
  { title: 'ARTIFACTS', align: 'right', cell: ({ totals }) => String(totals.artifacts) },
  { title: 'MISSING', align: 'right', cell: ({ missing }) => String(missing.length) },
  { title: 'SIZE', align: 'right', cell: ({ totals }) => formatBytes(totals.size) },
  { title: 'DELTAS', align: 'right', cell: ({ totals }) => formatBytes(totals.deltaSize) },
  {
    title: 'PLATFORMS',
    cell: ({ artifacts }) => [...new Set(artifacts.map(({ platform }) => platform))].join(' '),
  },
];

/** The heading, the table of artifacts and the totals of one architecture. */
export function renderArchitecture(
  report: ArchitectureReport,
  columns: readonly Column<ArtifactReport>[] = COLUMNS,
): string {
  const { architecture, stream, release, iso, artifacts, missing, totals } = report;
  const { notPulled: absent } = report;
  const inside = absent?.iso ? 'not pulled; name it with --iso' : 'in the bundle';
  const where = iso.embedded ? inside : `not in the bundle; from ${iso.location}`;
  const lines = [
    `${architecture}  ${stream} ${release}`,
    `iso ${iso.name}: ${formatBytes(iso.size)}, ${where}`,
    ...filesLines(report),
    '',
    renderTable(columns, artifacts).trimEnd(),
    '',
    `${totals.artifacts} artifacts, ${formatBytes(totals.size)}` +
      ` (released as ${formatBytes(totals.releasedSize)}), deltas and recipes ${formatBytes(totals.deltaSize)}`,
    ...artifacts.filter(isStored).map(stored),
    ...(absent && absent.artifacts.length > 0
      ? [`not pulled: ${absent.artifacts.join(', ')}; \`${absent.hint}\``]
      : []),
    ...missing.map((artifact) => `missing ${shortName(artifact, missing)}: ${artifact.reason}`),
  ];
  return `${lines.join('\n')}\n`;
}

const HOW: Readonly<Record<RecipeArtifact['attestation'], string>> = {
  'uncompressed-sha256': "stream's uncompressed-sha256",
  sha256: "stream's sha256",
  computed: "own sha256, after the stream's sha256 of the compressed file",
};

const COLUMNS: readonly Column<ArtifactReport>[] = [
  { title: 'ARTIFACT', cell: ({ label }) => label },
  { title: 'CONTAINER', cell: ({ container }) => container },
  { title: 'SIZE', align: 'right', cell: ({ size }) => formatBytes(size) },
  {
    title: 'RELEASED',
    align: 'right',
    cell: ({ released }) => (released.size === undefined ? '-' : formatBytes(released.size)),
  },
  { title: 'AS RELEASED', cell: asReleased },
  {
    title: 'DELTA',
    align: 'right',
    cell: (artifact) =>
      blobsOf(artifact.recipe).length > 0 ? formatBytes(artifact.deltaSize) : 'none',
  },
  {
    // Relative to the released file, which a mirror would have to carry otherwise.
    title: 'RATIO',
    align: 'right',
    cell: (artifact) => formatShare(artifact.deltaSize, artifact.released.size ?? artifact.size),
  },
  { title: 'MADE FROM', cell: madeFrom },
  { title: 'VERIFIED BY', cell: ({ attestation }) => HOW[attestation] },
];

/** Who vouches for the digests depends on the reader of the bundle, so its maker cannot know. */
const VOUCHER: Column<ArtifactReport> = {
  title: 'VOUCHED FOR BY',
  cell: ({ vouchedBy }) => vouchedBy,
};

/** Whether the released file itself can be made, how it was compressed, and whether its signature is carried. */
function asReleased({ compression, released }: ArtifactReport): string {
  const { layer, signature } = released;
  const how = compression === 'none' ? 'as it is' : layer ? layerText(layer) : 'no';
  return signature ? `${how}, signed` : how;
}

function vouchedBy(artifact: RecipeArtifact, architecture: Arch, trust: Trust): string {
  const { streams, verifiedBy, expected } = trust;
  if (streams.length > 0) return voucherOf(artifact, architecture, trust)?.name ?? 'nobody';
  return verifiedBy ?? (expected === undefined ? 'bundle' : 'index');
}

/** `metal`, or the layers around it, outermost first: `splice < vmdk < metal`. */
export function madeFrom({ recipe }: Pick<RecipeArtifact, 'recipe'>): string {
  if (recipe.kind === 'iso') return 'iso';
  const layers = recipe.kind === 'container' ? recipe.layers.map(({ codec }) => codec) : [];
  return [...layers, recipe.base].join(' < ');
}

/** Deltas of at least this size are mentioned if they are at least half as large as their image. */
const STORED = 1 << 20;

function isStored({ deltaSize, released, size }: ArtifactReport): boolean {
  return deltaSize > STORED && deltaSize > (released.size ?? size) / 2;
}

/** A line rather than a column, because for this artifact the bundle saves little. */
function stored({ label, deltaSize, platform, format }: ArtifactReport): string {
  const why = expectedImage(platform, plainFormat(format))?.note;
  return `stored ${label}: ${formatBytes(deltaSize)} of it are not in any base${why ? ` (${why})` : ''}`;
}

export function deltaSize({ recipe }: Pick<RecipeArtifact, 'recipe'>): number {
  return blobsOf(recipe).reduce((sum, { size }) => sum + size, 0);
}
