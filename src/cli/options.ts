import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Shard } from '../bundle/shard.ts';
import { type Arch, parseArch } from '../core/arch.ts';
import { UsageError } from '../core/errors.ts';
import { ENGINES, type EngineChoice } from '../engine/choose.ts';
import { defaultJobs } from './jobs.ts';

/** Options that every command has. */
export interface OutputOptions {
  readonly json?: true;
  readonly quiet?: true;
  readonly debug?: true;
}

/** Options of the commands that run the engine. */
export interface EngineOptions extends OutputOptions {
  readonly engine: EngineChoice;
  readonly accel: 'auto' | 'kvm' | 'tcg';
  readonly timeoutScale?: number;
  readonly logDir?: string;
  readonly cacheDir?: string;
  readonly cacheSize: number;
  /** False for --no-cache. */
  readonly cache: boolean;
  readonly jobs: number;
}

export function addOutputOptions(command: Command): Command {
  return command
    .option('--json', 'results as JSON on stdout, progress as JSON lines on stderr')
    .option('-q, --quiet', 'no progress')
    .option('--debug', 'show stack traces of errors');
}

interface SelectionUse {
  /** All of the bundle unless told otherwise; else the platforms named, of this host's architecture. */
  readonly everything: boolean;
  /** Without the options of commands that make something. */
  readonly plain?: boolean;
  /** Without --bundle, too. */
  readonly elsewhere?: boolean;
}

/** What a command is about: which bundle, and what of it. */
export function addSelectionOptions(
  command: Command,
  { everything, plain = false, elsewhere = false }: SelectionUse,
): Command {
  const arches = everything ? '`all`, the default' : "`all` (default: this host's)";
  const platforms = everything ? '`all`, the default' : '`all`';
  command
    .option('-p, --platform <names>', `platforms, comma separated, or ${platforms}`, parseList)
    .option('-f, --format <names>', 'formats: raw, 4k.raw, iso, pxe, qcow2… or `all`', parseList)
    .option('-a, --arch <names>', `architectures, or ${arches}`, parseArches);
  if (elsewhere) return command;
  command.option('-b, --bundle <dir>', 'bundle (default: $ISO_REHYDRATE_BUNDLE, else ./bundle)');
  if (plain) return command;
  return command
    .option('--shard <i/n>', 'only the i-th of n equal parts of it', parseShard)
    .option(
      '--iso <file>',
      'use this copy of the ISO, not the bundle’s (repeat per arch)',
      collect,
    );
}

/** An option that may be given several times. */
export const collect = (text: string, previous: readonly string[] = []) => [...previous, text];

/** `2/4`: the second of four. */
export function parseShard(text: string): Shard {
  const [, index = 0, of = 0] = (/^(\d{1,4})\/(\d{1,4})$/.exec(text.trim()) ?? []).map(Number);
  if (index < 1 || index > of || of > 4096) {
    throw new InvalidArgumentError(
      'Give a part and the number of parts, such as 2/4; 1/4 is the first.',
    );
  }
  return { index, of };
}

export function parseShards(text: string): number {
  return parseShard(`1/${text}`).of;
}

export function addEngineOptions(command: Command): Command {
  command
    .addOption(
      new Option('--engine <kind>', 'what unpacks the ISO: itself in a VM, this program, …')
        .choices(ENGINES)
        .default('qemu'),
    )
    .addOption(
      new Option('--accel <kind>', 'accelerator of the virtual machine')
        .choices(['auto', 'kvm', 'tcg'])
        .default('auto'),
    )
    .option('-j, --jobs <n>', 'architectures to work on at a time', parseJobs, defaultJobs())
    .option('--timeout-scale <factor>', 'multiply all time limits of the machine', parseFactor)
    .option('--log-dir <dir>', 'where console logs of failed machines are kept')
    .option('--cache-dir <dir>', 'where regenerated disks are kept')
    .option('--cache-size <size>', 'how much of them is kept', parseSize, 20 * 2 ** 30)
    .option('--no-cache', 'keep none and use none');
  // The default of --cache-size reads better as text than as a number.
  const cacheSize = command.options.find(({ long }) => long === '--cache-size');
  cacheSize?.default(20 * 2 ** 30, '20GiB');
  return addOutputOptions(command);
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/** `500M`, `20GiB`, `0`: binary units, as the files' own sizes are told. */
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

/** `qemu,aws` or the option several times. */
export function parseList(text: string, previous: readonly string[] = []): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('')) throw new InvalidArgumentError('Give names separated by commas.');
  return [...previous, ...names];
}

export function parseJobs(text: string): number {
  const jobs = Number(text);
  if (!/^\d+$/.test(text) || jobs < 1 || jobs > 64) {
    throw new InvalidArgumentError('Give a number from 1 to 64.');
  }
  return jobs;
}

/** `s390x,arm64`, the option several times, or `all`, which any other name adds nothing to. */
export function parseArches(text: string, previous: readonly Arch[] | 'all' = []): Arch[] | 'all' {
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
    throw new InvalidArgumentError(`${error.message}: ${error.hint}, or \`all\`.`);
  }
}
