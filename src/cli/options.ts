import { InvalidArgumentError } from '@commander-js/extra-typings';
import { LAYER_KINDS } from '../bundle/released-layer.ts';
import type { Shard } from '../bundle/shard.ts';
import type { ReleasedKind } from '../codec/released/layer.ts';
import { ARCHITECTURES, type Arch, parseArch } from '../core/arch.ts';
import { UsageError } from '../core/errors.ts';
import { isSha256, type Sha256 } from '../core/io/digest.ts';
import { didYouMean } from '../core/text/suggest.ts';
import { completed } from './completion/words.ts';

/** An option that may be given several times. */
export const collect = (text: string, previous: readonly string[] = []) => [...previous, text];

const MAX_SHARDS = 4096;

/** `2/4`: the second of four. */
export function parseShard(text: string): Shard {
  const [, index = 0, of = 0] = (/^(\d{1,4})\/(\d{1,4})$/.exec(text.trim()) ?? []).map(Number);
  if (index < 1 || index > of || of > MAX_SHARDS) {
    throw new InvalidArgumentError(
      'Give a part and the number of parts, such as 2/4; 1/4 is the first.',
    );
  }
  return { index, of };
}

export function parseShards(text: string): number {
  const shards = Number(text);
  if (!/^\d+$/.test(text) || shards < 1 || shards > MAX_SHARDS) {
    throw new InvalidArgumentError(`Give a number from 1 to ${MAX_SHARDS}.`);
  }
  return shards;
}

/** `sha256:…` */
export function parseDigest(text: string): Sha256 {
  const digest = text.replace(/^sha256:/, '');
  if (text.startsWith('sha256:') && isSha256(digest)) return digest;
  throw new InvalidArgumentError('Give sha256: and 64 hex digits, as `push` prints them.');
}

/** One of a few words. */
export const oneOf = <const T extends string>(choices: readonly T[]) =>
  completed((text: string): T => {
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    const meant = didYouMean(text, choices);
    const hint = meant === undefined ? '' : `Did you mean ${meant}? `;
    throw new InvalidArgumentError(`${hint}Choose from ${choices.join(', ')}.`);
  }, choices);

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/** `500M`, `20GiB`, `0`: binary units, the ones that sizes are shown in. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim());
  const unit = UNITS[match?.[2]?.toLowerCase() ?? ''];
  const bytes = Number(match?.[1]) * (unit ?? Number.NaN);
  if (!Number.isSafeInteger(Math.round(bytes))) {
    throw new InvalidArgumentError('Give a size such as 500MiB or 20G.');
  }
  return Math.round(bytes);
}

export function parseFactor(text: string): number {
  const factor = Number(text);
  if (text.trim() === '' || !Number.isFinite(factor) || factor <= 0 || factor > 1000) {
    throw new InvalidArgumentError('Give a number above 0, such as 2.');
  }
  return factor;
}

/** `qemu,aws`, or the option several times. */
export function parseList(text: string, previous: readonly string[] = []): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('')) throw new InvalidArgumentError('Give names separated by commas.');
  return [...previous, ...names];
}

const LIST = { list: true } as const;
export const parsePlatforms = completed(parseList, 'platforms', LIST);
export const parseFormats = completed(parseList, 'formats', LIST);

/** `gz,zip,xz`, `all` or `none`: kinds of compression that can be done again. */
export const parseReleased = completed(releasedKinds, [...LAYER_KINDS, 'all', 'none'], LIST);

function releasedKinds(text: string): ReleasedKind[] {
  const names = parseList(text);
  if (names.includes('none')) {
    if (names.length === 1) return [];
    throw new InvalidArgumentError('Give `none` alone.');
  }
  if (names.includes('all')) return [...LAYER_KINDS];
  return [...new Set(names.map(oneOf(LAYER_KINDS)))];
}

const MAX_SECONDS = 86_400;

export function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!/^\d+$/.test(text) || seconds > MAX_SECONDS) {
    throw new InvalidArgumentError(`Give seconds from 0 to ${MAX_SECONDS}.`);
  }
  return seconds;
}

export function parseJobs(text: string): number {
  const jobs = Number(text);
  if (!/^\d+$/.test(text) || jobs < 1 || jobs > 64) {
    throw new InvalidArgumentError('Give a number from 1 to 64.');
  }
  return jobs;
}

/** `s390x,arm64`, the option several times, or `all`, which overrides other names. */
export const parseArches = completed(archNames, 'architectures', LIST);

function archNames(text: string, previous: readonly Arch[] | 'all' = []): Arch[] | 'all' {
  const names = parseList(text);
  const arches = names.filter((name) => name !== 'all').map(parseArchOption);
  if (previous === 'all' || names.includes('all')) return 'all';
  return [...new Set([...previous, ...arches])];
}

function parseArchOption(text: string): Arch {
  try {
    return parseArch(text);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const meant = didYouMean(text, [...ARCHITECTURES, 'all']);
    const hint = meant === undefined ? '' : ` Did you mean ${meant}?`;
    throw new InvalidArgumentError(`${error.message}: ${error.hint}, or \`all\`.${hint}`);
  }
}
