import { escapeMarkup } from '../../../core/text/printable.ts';

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

/** Trusted text, not escaped. */
export const raw = (text: string): Markup => ({ markup: text });
