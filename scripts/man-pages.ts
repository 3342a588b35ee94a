import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { createProgram } from '../src/cli/program.ts';
import { version } from '../src/cli/version.ts';

/** The manual pages, by the names of their files: one for the program, one for each command. */
export function manPages(): Map<string, string> {
  const program = createProgram({ env: {} } as never, { json: false });
  const commands = program.createHelp().visibleCommands(program);
  const named = commands.filter((command) => command.name() !== 'help');
  const pages = new Map([[fileOf(program), pageOf(program, named)]]);
  for (const command of named) pages.set(fileOf(command), pageOf(command, [program]));
  return pages;
}

const titleOf = (command: CommandUnknownOpts): string =>
  command.parent ? `${command.parent.name()}-${command.name()}` : command.name();

const fileOf = (command: CommandUnknownOpts) => `${titleOf(command)}.1`;

function pageOf(command: CommandUnknownOpts, related: readonly CommandUnknownOpts[]): string {
  const help = command.createHelp();
  const words = command.parent ? [command.parent.name(), command.name()] : [command.name()];
  const { prose, sections } = partsOf(textAfterHelp(command));
  const page = [
    `.TH ${roff(titleOf(command).toUpperCase())} 1 "" "iso-rehydrate ${version()}" "User Commands"`,
    ...['.SH NAME', `${roff(titleOf(command))} \\- ${roff(command.description())}`],
    ...['.SH SYNOPSIS', `.B ${roff(words.join(' '))}`, roff(command.usage())],
    ...['.SH DESCRIPTION', roff(sentence(command.description())), ...prose.flatMap(blockOf)],
  ];
  const args = help.visibleArguments(command);
  if (args.length > 0) {
    page.push('.SH ARGUMENTS', ...args.flatMap((one) => entry(one.name(), one.description)));
  }
  if (command.parent === null) {
    page.push('.SH COMMANDS');
    for (const one of related) page.push(...entry(one.name(), one.description()));
  }
  page.push('.SH OPTIONS');
  for (const one of help.visibleOptions(command)) {
    page.push(...entry(help.optionTerm(one), help.optionDescription(one)));
  }
  for (const [title, lines] of sections) {
    page.push(`.SH ${roff(title.toUpperCase())}`, ...literal(lines));
  }
  const names = related.map((one) => `.BR ${roff(titleOf(one))} (1)`);
  page.push('.SH SEE ALSO', ...names.map((name, i) => (i < names.length - 1 ? `${name},` : name)));
  return `${page.join('\n')}\n`;
}

/** What a command adds to its help; the parser has no other way to get at it. */
function textAfterHelp(command: CommandUnknownOpts): string {
  let text = '';
  const { writeOut } = command.configureOutput();
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
  });
  command.outputHelp();
  command.configureOutput(writeOut === undefined ? {} : { writeOut });
  return text.slice(command.helpInformation().length);
}

/** Paragraphs, and sections that begin with a line such as `Examples:`. */
function partsOf(text: string) {
  const prose: string[][] = [];
  const sections = new Map<string, string[]>();
  let lines: string[] | undefined;
  for (const line of text.split('\n')) {
    const [, title] = /^(Examples|Exit codes):$/.exec(line) ?? [];
    if (line === '') lines = undefined;
    else if (title === undefined && lines) lines.push(line);
    else {
      lines = title === undefined ? [line] : [];
      if (title === undefined) prose.push(lines);
      else sections.set(title, lines);
    }
  }
  return { prose, sections };
}

/** A paragraph is filled; where its lines are indented, they stay as they are. */
function blockOf(lines: readonly string[]): string[] {
  const isTable = lines.some((line) => /^ {2}/.test(line));
  return ['.PP', ...(isTable ? literal(lines) : lines.map(roff))];
}

const literal = (lines: readonly string[]) => ['.nf', ...lines.map(roff), '.fi'];

const entry = (term: string, description: string) => ['.TP', `.B ${roff(term)}`, roff(description)];

const sentence = (text: string) =>
  `${text.slice(0, 1).toUpperCase()}${text.slice(1).replace(/\.$/, '')}.`;

/** groff_char(7): a hyphen that can be copied, a backslash, and no line that is taken for a request. */
function roff(text: string): string {
  const special: Readonly<Record<string, string>> = {
    ...{ '\\': '\\e', '-': '\\-', '`': '\\(ga', '’': '\\(cq', '…': '\\&...', "'": '\\(aq' },
  };
  const escaped = text.replaceAll(/[\\\-`’…']/g, (one) => special[one] ?? one);
  return escaped.startsWith('.') ? `\\&${escaped}` : escaped;
}
