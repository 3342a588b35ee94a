const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text for XML and HTML, in elements and in quoted attributes. What XML 1.0 forbids becomes `?`. */
export function escapeMarkup(text: string): string {
  return text
    .replace(/[&<>"']/g, (char) => ENTITIES[char] ?? '')
    .replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, '?');
}

/** Markup that is safe to put into other markup. */
export interface Markup {
  readonly markup: string;
}

type Part = Markup | string | number | readonly Markup[] | undefined;

/** A template whose values are escaped, unless they are markup themselves. */
export function markup(texts: TemplateStringsArray, ...values: readonly Part[]): Markup {
  return {
    markup: texts.map((text, i) => text + (i < values.length ? part(values[i]) : '')).join(''),
  };
}

function part(value: Part): string {
  if (value === undefined) return '';
  if (typeof value === 'string' || typeof value === 'number') return escapeMarkup(String(value));
  return 'markup' in value ? value.markup : value.map((one) => one.markup).join('');
}

/** Text from here, as it is. */
export const raw = (text: string): Markup => ({ markup: text });
