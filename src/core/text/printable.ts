/*
 * Texts from ISOs, bundles, consoles and servers are hostile: a control character could move the cursor,
 * and a bidirectional one could make a text read as another. Each place where such a text goes has one rule.
 */

/** Console excerpts and stacks may be long; a report is not the place for all of it. */
const MAX_REPORTED = 20_000;
const MAX_REASON = 1000;

/** To a terminal, several lines: line feeds and tabs stay, other control characters become `\xNN`. */
export function printable(text: string): string {
  return text.replace(CONTROLS, (char) => `\\x${hex(char).padStart(2, '0')}`);
}

/** To a terminal, one line: control and format characters, line feeds too, become `\u{…}`. */
export function printableLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, (char) => `\\u{${hex(char)}}`);
}

/** Into a JSON report: line feeds and tabs stay, other control characters become `?`; bounded. */
export function reportable(text: string): string {
  return text.replace(CONTROLS, '?').slice(0, MAX_REPORTED);
}

/** Into a recipe manifest, one line: whatever is no visible character becomes a blank; bounded. */
export function oneLine(text: string): string {
  return text.replace(/\p{C}/gu, ' ').slice(0, MAX_REASON);
}

/** Into XML or HTML, in elements and in quoted attributes. What XML 1.0 forbids becomes `?`. */
export function escapeMarkup(text: string): string {
  return text
    .replace(/[&<>"']/g, (char) => ENTITIES[char] ?? '')
    .replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, '?');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

const hex = (char: string) => (char.codePointAt(0) ?? 0).toString(16);
