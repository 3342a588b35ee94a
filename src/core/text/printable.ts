/*
 * Texts from ISOs, bundles, consoles and servers are hostile: a control character could move the cursor,
 * and a bidirectional one could make a text read as another. There is one rule for each kind of output.
 */

/** Console excerpts and stacks may be long, so a report holds only this much. */
const MAX_REPORTED = 20_000;
const MAX_REASON = 1000;

/** For a terminal, several lines: line feeds and tabs stay, other control characters become `\xNN`. */
export function printable(text: string): string {
  return text.replace(CONTROLS, (char) => `\\x${hex(char).padStart(2, '0')}`);
}

/** For a terminal, one line: control and format characters, line feeds too, become `\u{…}`. */
export function printableLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, (char) => `\\u{${hex(char)}}`);
}

/** For a JSON report: line feeds and tabs stay, other control characters become `?`; bounded. */
export function reportable(text: string): string {
  return text.replace(CONTROLS, '?').slice(0, MAX_REPORTED);
}

/** For a recipe manifest or an error message, one line: invisible characters become blanks; bounded. */
export function oneLine(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ').slice(0, MAX_REASON);
}

/** For XML or HTML, in elements and in quoted attributes. Characters that XML 1.0 forbids become `?`. */
export function escapeMarkup(text: string): string {
  return text
    .replace(/[&<>"']/g, (char) => ENTITIES[char] ?? '')
    .replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, '?');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they must be found
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

const hex = (char: string) => (char.codePointAt(0) ?? 0).toString(16);
