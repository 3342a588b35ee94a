import { EXIT_CODES, EXIT_CODES_WORST_FIRST, exitCodesOf } from '../src/cli/exit-code.ts';
import { ERROR_CODES, type ErrorCode } from '../src/core/error-codes.ts';

/** The text of `docs/errors.md`, generated from the code. */
export function errorPage(): string {
  const codes = Object.keys(ERROR_CODES) as ErrorCode[];
  const own = codes.filter((code) => !code.startsWith('FIXTURE_'));
  const fixture = codes.filter((code) => code.startsWith('FIXTURE_'));
  return `<!-- Written by \`npm run docs:errors\` from src/core/error-codes.ts and src/cli/exit-code.ts. -->

# Errors

An error says what failed, where, why and what to do:

\`\`\`
error: … [CODE]
where: …
cause: …
fix: …
\`\`\`

With \`--json\` it is one JSON object with \`kind\`, \`code\`, \`message\`, \`context\`, \`hint\` and \`causes\`.
Codes and exit codes are stable, messages are not.

## Exit codes

${table(
  ['exit code', 'meaning'],
  EXIT_CODES.map(({ code, meaning }) => [String(code), meaning]),
)}

If several architectures fail, the exit code is the first of these: ${EXIT_CODES_WORST_FIRST.join(', ')}.
An \`audit\` ends with 4 if anything is BAD; otherwise, if something is FAIL, with the code of the worst
reason; otherwise with 5 if anything is UNCOVERED.

## Error codes

A code with several exit codes sums up other errors; the exit code is that of the worst of them.

${table(['code', 'exit code', 'meaning'], own.map(rowOf))}

## Error codes of the fixture builder

${table(['code', 'exit code', 'meaning'], fixture.map(rowOf))}
`;
}

const rowOf = (code: ErrorCode) => [
  `\`${code}\``,
  exitCodesOf(code).join(', '),
  ERROR_CODES[code].meaning,
];

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
