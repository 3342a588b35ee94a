import type { CommandUnknownOpts, Option } from '@commander-js/extra-typings';
import { parseArch } from '../../core/arch.ts';
import type { Catalogue, Named } from './catalogue.ts';
import { type Completed, wordsOf } from './words.ts';

/** What a shell offers: the words, the last of a list that may go on, or its own files or folders. */
export interface Answer {
  readonly kind: 'words' | 'list' | 'files' | 'folders';
  readonly words: readonly Candidate[];
}

interface Candidate {
  readonly word: string;
  readonly description: string;
}

/** Parts of the line before the word at the cursor. */
interface Line {
  readonly command: CommandUnknownOpts;
  /** Whether the command is on the line, and not only the default. */
  readonly named: boolean;
  /** Values of options, by their long names. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  /** The option whose value comes next. */
  readonly open: Option | undefined;
  readonly positionals: number;
  /** Whether `--` came before. */
  readonly ended: boolean;
}

const NOTHING: Answer = { kind: 'words', words: [] };
const FILES: Answer = { kind: 'files', words: [] };
const FOLDERS: Answer = { kind: 'folders', words: [] };

/**
 * The continuations of a command line whose last word, at the cursor, may be empty. Everything comes from the
 * definitions of the commands; `catalogueOf` reads the bundle that the line names.
 */
export async function complete(
  program: CommandUnknownOpts,
  words: readonly string[],
  catalogueOf: (bundle: string | undefined) => Promise<Catalogue>,
): Promise<Answer> {
  const { before, current, assigned } = atCursor(words);
  const line = parse(program, before);
  const [, name = '', value] = /^(--[\w-]+)=(.*)$/s.exec(current) ?? [];
  const option = line.open ?? optionNamed(line.command, name);
  if (option && (line.open || value !== undefined)) {
    const prefix = line.open ? '' : `${name}=`;
    return valuesOf(option, value ?? current, { prefix, line, catalogueOf });
  }
  if (assigned) return NOTHING;
  if (current.startsWith('-') && !line.ended) return optionsOf(line, current);
  return argumentsOf(program, line, current);
}

/** bash cuts `--platform=qemu` into three words, and `=` is the word at the cursor if nothing follows it. */
function atCursor(words: readonly string[]) {
  const before = words.slice(0, -1);
  const current = words.at(-1) ?? '';
  if (current === '=') return { before, current: '', assigned: true };
  if (before.at(-1) === '=') return { before: before.slice(0, -1), current, assigned: true };
  return { before, current, assigned: false };
}

function parse(program: CommandUnknownOpts, before: readonly string[]): Line {
  const [first = ''] = before;
  const found = program.commands.find(
    (one) => one.name() === first || one.aliases().includes(first),
  );
  const command = found ?? defaultOf(program);
  const values = new Map<string, string[]>();
  let open: Option | undefined;
  let positionals = 0;
  let ended = false;
  const take = (option: Option, value: string) => {
    const name = option.long ?? option.flags;
    values.set(name, [...(values.get(name) ?? []), value]);
  };
  for (const word of found ? before.slice(1) : before) {
    if (word === '=') continue;
    if (open && !(open.variadic && word.startsWith('-'))) {
      take(open, word);
      if (!open.variadic) open = undefined;
    } else if (ended || !word.startsWith('-') || word === '-') positionals++;
    else if (word === '--') ended = true;
    else {
      const [name = '', ...value] = word.split('=');
      const option = optionNamed(command, name);
      if (option && value.length > 0) take(option, value.join('='));
      open = option?.required && value.length === 0 ? option : undefined;
    }
  }
  return { command, named: found !== undefined, values, open, positionals, ended };
}

/** The command that options without a command belong to. */
function defaultOf(program: CommandUnknownOpts): CommandUnknownOpts {
  return program.commands.find((one) => one.name() === 'rehydrate') ?? program;
}

const optionNamed = (command: CommandUnknownOpts, name: string) =>
  name === ''
    ? undefined
    : command.options.find(({ long, short }) => name === long || name === short);

function optionsOf({ command, named }: Line, current: string): Answer {
  const root = named || command.parent === null ? [] : visible(command.parent);
  return words([...visible(command), ...root], current);
}

function visible(command: CommandUnknownOpts): Candidate[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .map(({ long, flags, description }) => ({ word: long ?? flags, description }));
}

function argumentsOf(program: CommandUnknownOpts, line: Line, current: string): Answer {
  const { command, named, positionals } = line;
  if (!named && positionals === 0 && line.values.size === 0) {
    const commands = program.createHelp().visibleCommands(program);
    const names = commands.map((one) => ({ word: one.name(), description: one.description() }));
    return words(names, current);
  }
  const known = command.registeredArguments;
  const last = known.at(-1);
  const argument = known[positionals] ?? (last?.variadic ? last : undefined);
  if (argument === undefined) return NOTHING;
  if (argument.argChoices) return words(argument.argChoices.map(plain), current);
  return kindOf(argument.name());
}

interface ValueOptions {
  /** What the shell takes for a part of the word: `--platform=`. */
  readonly prefix: string;
  readonly line: Line;
  readonly catalogueOf: (bundle: string | undefined) => Promise<Catalogue>;
}

async function valuesOf(option: Option, current: string, options: ValueOptions): Promise<Answer> {
  const known = wordsOf(option.parseArg);
  if (known === undefined) return kindOf(/<([^>]*)>/.exec(option.flags)?.[1] ?? '');
  const all = await namesOf(known, options);
  const parts = known.list ? current.split(',') : [current];
  const started = parts.slice(0, -1);
  const start = options.prefix + started.map((part) => `${part},`).join('');
  const { words: found } = words(
    all.filter((name) => !started.includes(name)).map(plain),
    parts.at(-1) ?? '',
  );
  return {
    kind: known.list ? 'list' : 'words',
    words: found.map(({ word, description }) => ({ word: start + word, description })),
  };
}

async function namesOf({ words: from }: Completed, { line, catalogueOf }: ValueOptions) {
  if (typeof from !== 'string') return from;
  const catalogue = await catalogueOf(line.values.get('--bundle')?.at(-1));
  const given = (name: string) => (line.values.get(name) ?? []).flatMap((one) => one.split(','));
  const arches = given('--arch').flatMap(archNamed);
  const platforms = given('--platform');
  const isChosen = (one: Named) =>
    (from === 'architectures' || arches.length === 0 || arches.includes(one.architecture)) &&
    (from !== 'formats' ||
      platforms.length === 0 ||
      platforms.some((name) => name === 'all' || name === one.platform));
  const chosen = catalogue.filter(isChosen).map((one) => {
    if (from === 'platforms') return one.platform;
    return from === 'formats' ? one.format : one.architecture;
  });
  return [...new Set(chosen)].sort().concat('all');
}

function archNamed(text: string): string[] {
  try {
    return [parseArch(text)];
  } catch {
    return []; // `all`, or a name that is not finished
  }
}

/** Placeholders of options and arguments that stand for paths. */
function kindOf(placeholder: string): Answer {
  if (/\b(dir|dirs)\b/.test(placeholder)) return FOLDERS;
  return /\b(file|path|source|name|bundle|bundles|iso)\b/.test(placeholder) ? FILES : NOTHING;
}

const plain = (word: string): Candidate => ({ word, description: '' });

function words(all: readonly Candidate[], current: string): Answer {
  return { kind: 'words', words: all.filter(({ word }) => word.startsWith(current)) };
}
