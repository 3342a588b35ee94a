import { formatBytes, formatShare } from '../../../core/text/bytes.ts';
import { CELLS, LETTERS, ORIGINS, type Origin, type OriginMap } from '../origin-map.ts';
import type { AuditedArchitecture, AuditedArtifact } from '../report.ts';
import { type Markup, markup } from './escape.ts';

const WORDS: Readonly<Record<Origin, string>> = {
  iso: 'ISO',
  metal: 'metal disk (from the ISO)',
  metal4k: 'metal4k disk (from the ISO)',
  delta: 'delta',
  zeros: 'zeros',
};

export function mapLegend(): Markup {
  const items = ORIGINS.map(
    (origin) => markup`<li><i class="swatch ${origin}"></i>${WORDS[origin]}</li>`,
  );
  return markup`<ul class="legend">${items}</ul>`;
}

const HEIGHT = 14;

/** The caption below a strip, which also covers parts that are too small to be seen. */
const SHORT: Readonly<Record<Origin, string>> = { ...WORDS, metal: 'metal', metal4k: 'metal4k' };

/** A strip with the start of the file on the left. Bytes of the delta always show, however few. */
export function mapStrip({ cells, totals, size, of }: OriginMap): Markup {
  const runs = [...cells.matchAll(/(.)\1*/g)].map((run) => {
    const origin = ORIGINS.find((one) => LETTERS[one] === run[1]) ?? 'zeros';
    return markup`<rect class="${origin}" x="${run.index}" width="${run[0].length}" height="${HEIGHT}"/>`;
  });
  const present = ORIGINS.filter((origin) => totals[origin] > 0);
  const shares = present.map(
    (origin) =>
      `${WORDS[origin]}: ${formatBytes(totals[origin])} (${formatShare(totals[origin], size)})`,
  );
  const what = of === 'payload' ? 'the disk inside, ' : '';
  const title = `${what}${formatBytes(size)}\n${shares.join('\n')}`;
  return markup`<svg class="map" viewBox="0 0 ${CELLS} ${HEIGHT}" preserveAspectRatio="none" role="img"><title>${title}</title>${runs}</svg><small>${present.map((origin) => `${SHORT[origin]} ${formatBytes(totals[origin])}`).join(', ')}</small>`;
}

interface Bar {
  readonly label: string;
  readonly value: number;
  readonly text: string;
  readonly kind: string;
}

const ROW = 22;
const LABEL = 190;
const WIDTH = 460;

/** Horizontal bars on one linear scale from zero, each with its value in words. */
export function barChart(name: string, bars: readonly Bar[]): Markup {
  const most = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE);
  const rows = bars.map(({ label, value, text, kind }, i) => {
    const y = i * ROW;
    const width = Math.max(value > 0 ? 1 : 0, (value / most) * WIDTH);
    return markup`<text class="label" x="${LABEL - 8}" y="${y + 15}" text-anchor="end">${label}</text><rect class="${kind}" x="${LABEL}" y="${y + 4}" width="${width.toFixed(1)}" height="${ROW - 8}" rx="2"/><text x="${(LABEL + width + 6).toFixed(1)}" y="${y + 15}">${text}</text>`;
  });
  const height = bars.length * ROW;
  return markup`<svg class="bars" viewBox="0 0 ${LABEL + WIDTH + 130} ${height}" role="img" aria-label="${name}">${rows}</svg>`;
}

/** The size that a mirror carries, next to the size of all images. */
export function compositionChart({ composition, artifacts }: AuditedArchitecture): Markup {
  const images = artifacts.reduce((sum, { size = 0 }) => sum + size, 0);
  const bar = (label: string, value: number, kind: string) => ({
    ...{ label, value, kind },
    text: formatBytes(value),
  });
  return barChart('bundle composition', [
    bar('ISO', composition.iso, 'iso'),
    bar('deltas', composition.deltas, 'delta'),
    bar('codec recipes', composition.recipes, 'recipe'),
    bar('images made from these', images, 'zeros'),
  ]);
}

/** Seconds of the engine's phases and of every artifact. */
export function timeChart({ engine, artifacts }: AuditedArchitecture): Markup {
  const phases = Object.entries(engine?.seconds ?? {}).map(([name, value]) =>
    timeBar(`engine: ${name}`, value, 'engine'),
  );
  const made = artifacts.filter(({ seconds }) => seconds > 0);
  return barChart('times', [...phases, ...made.map(artifactTime)]);
}

const artifactTime = ({ label, seconds, status }: AuditedArtifact) =>
  timeBar(label, seconds, status);

const timeBar = (label: string, value: number, kind: string): Bar => ({
  ...{ label, value, kind },
  text: `${value.toFixed(value < 10 ? 2 : 1)} s`,
});
