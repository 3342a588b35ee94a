import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** The pages that people read, by their path in the repository. */
export const PAGES: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync('docs')
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => `docs/${name}`),
];

export const readPage = (page: string): string => readFileSync(resolve(page), 'utf8');

/** The fenced blocks of a language, in the page's order. */
export function blocksOf(text: string, language: string): string[] {
  const blocks: string[] = [];
  let open: { readonly language: string; readonly lines: string[] } | undefined;
  for (const line of text.split('\n')) {
    const [, info] = /^```(\w*)$/.exec(line) ?? [];
    if (info === undefined) open?.lines.push(line);
    else if (open === undefined) open = { language: info, lines: [] };
    else {
      if (open.language === language) blocks.push(`${open.lines.join('\n')}\n`);
      open = undefined;
    }
  }
  return blocks;
}

/** A section of a page: the text below a heading, up to the next heading of the same level. */
export function sectionOf(text: string, heading: string): string {
  const [, section = ''] = text.split(`\n## ${heading}\n`);
  return section.split('\n## ')[0] ?? '';
}

/** The command lines of a block; a here-document, or lines joined by backslashes, count as one. */
export function commandsOf(block: string): string[] {
  const commands: string[] = [];
  let open: string[] = [];
  let end: string | undefined;
  for (const line of block.split('\n')) {
    if (open.length === 0 && /^\s*(#|$)/.test(line)) continue;
    open.push(line);
    if (end === undefined) end = /<<'?(\w+)'?/.exec(line)?.[1];
    const goesOn = end === undefined ? line.endsWith('\\') : line !== end;
    if (goesOn) continue;
    commands.push(open.join('\n'));
    open = [];
    end = undefined;
  }
  if (open.length > 0) commands.push(open.join('\n'));
  return commands;
}

/** Every command line of a page's `sh` blocks. */
export const commandsOfPage = (page: string): string[] =>
  blocksOf(readPage(page), 'sh').flatMap(commandsOf);

export interface Elsewhere {
  readonly page: string;
  /** Matches the start of the command line. */
  readonly command: RegExp;
  /** The test that runs it, or the closest thing that can be run. */
  readonly by: string;
  /** What the test does differently, and why. */
  readonly but?: string;
}

/**
 * Command lines that test/e2e/pages.test.ts does not run. It runs all others, so a new command line that does not
 * work fails the tests.
 */
export const ELSEWHERE: readonly Elsewhere[] = [
  {
    page: 'README.md',
    command: /^scripts\/setup\.sh$/,
    by: '.ci/run',
    but: 'continuous integration sets a bare machine up with --tests, which does all of this and more',
  },
  {
    page: 'README.md',
    command: /^scripts\/quickstart\.sh( |$)/,
    by: 'test/e2e/quickstart.test.ts',
  },
  { page: 'README.md', command: /^scripts\/test\.sh( |$)/, by: '.ci/run' },
  {
    page: 'README.md',
    command: /^(npm pack|npm install --global )/,
    by: 'test/e2e/package.test.ts',
  },
  {
    page: 'README.md',
    command: /^podman /,
    by: 'test/e2e/container.test.ts',
    but: 'by buildah, which builds the same Containerfiles; the tests have no container engine',
  },
  {
    page: 'README.md',
    command: /^iso-rehydrate .* --container /,
    by: 'src/cli/files-road.test.ts',
    but: 'from the CNCF registry and from archives of a release that has a container image',
  },
  {
    page: 'docs/mirror-admin.md',
    command: /^(npm pack|podman )/,
    by: 'test/e2e/container.test.ts',
    but: 'by buildah, which builds the same Containerfiles; the tests have no container engine',
  },
  {
    page: 'docs/mirror-admin.md',
    command: /^(notation |cat >trustpolicy|reference=|iso-rehydrate pull "\$reference"|oras )/,
    by: 'test/unit/pages/signing.test.ts',
  },
  {
    page: 'README.md',
    command: /^iso-rehydrate .*--bundle REF /,
    by: 'test/e2e/references.test.ts',
  },
  {
    page: 'docs/mirror-admin.md',
    command:
      /^(image=|openshift-install |iso-rehydrate .*"docker:|iso-rehydrate pull .* -o recipes$|iso-rehydrate inspect bundle --trust)/,
    by: 'test/e2e/references.test.ts',
    but: 'with an image of the same layout in the CNCF registry, and the stream of the fixture',
  },
  {
    page: 'docs/mirror-admin.md',
    command: /^iso-rehydrate .* --container /,
    by: 'src/cli/files-road.test.ts',
    but: 'from the CNCF registry and from archives of a release that has a container image',
  },
  {
    page: 'docs/terminal.md',
    command: /iso-rehydrate completion /,
    by: 'src/cli/completion/shells.test.ts',
    but: 'in the shell that each line is for, from a file',
  },
  {
    page: 'docs/release-job.md',
    command: /^iso-rehydrate (dehydrate|estimate) .*(--base files|--container)/s,
    by: 'src/cli/files-road.test.ts',
    but: 'with a container image in the CNCF registry',
  },
  {
    page: 'docs/release-job.md',
    command: /^(notation |reference=)/,
    by: 'test/unit/pages/signing.test.ts',
  },
  {
    page: 'docs/release-job.md',
    command: /^iso-rehydrate dehydrate .*--keyring /,
    by: 'src/release/download/download.test.ts',
    but: 'only the options are checked: the fixture is neither on a web server nor signed',
  },
  {
    page: 'docs/release-job.md',
    command: /^cosign /,
    by: 'docs/limits.md',
    but: 'was run by hand: building cosign takes five times as long as building notation',
  },
  {
    page: 'docs/auditor.md',
    command: /^iso-rehydrate audit .*--engine both /,
    by: 'test/e2e/release-jobs.test.ts',
    but: 'of one architecture and three artifacts: it boots an ISO',
  },
  {
    page: 'docs/library.md',
    command: /^npm install /,
    by: 'test/e2e/package.test.ts',
  },
  { page: 'docs/library.md', command: /^npm run api$/, by: 'test/e2e/package.test.ts' },
  {
    page: 'docs/measurements.md',
    command: /^(npm run (bench|fixture)|node scripts\/bench\/)/,
    by: 'test/unit/pages/pages.test.ts',
    but: 'only the options are checked: a benchmark takes an hour and the machine for itself',
  },
  {
    page: 'docs/measurements.md',
    command: /^npm run faults /,
    by: 'test/e2e/fault-injection.test.ts',
    but: 'of a sample of the calls',
  },
  {
    page: 'docs/first-release.md',
    command: /^(curl |openshift-install |iso-rehydrate |node scripts\/first-release)/,
    by: 'test/unit/pages/first-release.test.ts',
    but: 'the files of a real release cannot be reached: options are parsed, and what dehydrate would do is estimated from the real stream JSON',
  },
  {
    page: 'CONTRIBUTING.md',
    command: /^(scripts\/(setup|test)\.sh|npm run (check|test:unit|test:e2e))/,
    by: '.ci/run',
    but: 'continuous integration runs scripts/test.sh, which runs the others',
  },
];

export const elsewhere = (page: string, command: string): Elsewhere | undefined =>
  ELSEWHERE.find((one) => one.page === page && one.command.test(command));

/** Our own command lines in a piece of shell, split into words but not expanded as a shell would. */
export function ownCommands(
  text: string,
  variables: Readonly<Record<string, string>> = {},
): string[][] {
  const joined = text
    .replace(/\\\n\s*/g, ' ')
    .replace(/\$\(\([^)]*\)\)/g, '1')
    .replace(/\$\{?(\w+)\}?/g, (_, name: string) => variables[name] ?? name);
  // As a command, or as the program of a container.
  const start =
    /(?:^|[|(;&]\s*)iso-rehydrate (?<own>[^\n|)&;>]*)|^\s*podman run .*? (?:iso-rehydrate|coreos-images) (?<inside>[^\n|)&;>]*)/gm;
  const lines = [...joined.matchAll(start)].map(
    ({ groups }) => groups?.own ?? groups?.inside ?? '',
  );
  return lines.map((line) => {
    const words = line.replace(/ #.*$/, '').match(/(?:"[^"]*"|[^\s"]+)+/g) ?? [];
    return words.map((word) => word.replaceAll('"', ''));
  });
}

/** A folder of examples, and what is in it. */
export const EXAMPLES = resolve('scripts/release');
export const examples = (pattern: RegExp): string[] =>
  readdirSync(EXAMPLES)
    .filter((name) => pattern.test(name))
    .sort();
export const readExample = (name: string): string => readFileSync(join(EXAMPLES, name), 'utf8');
