/** Top-level fields whose number is an amount: it is read as the text that was written, never through a float. */
export const AMOUNT_FIELDS: ReadonlySet<string> = new Set(['payment_amount', 'max_total']);

/** A number as JSON writes it, or a word that people write for one and JSON does not know. */
const NUMBER_LIKE = /[-+]?(?:Infinity|NaN|[0-9][0-9.eE+-]*)/y;

/** The index behind the string that starts at `start`; the text's length where it never ends. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length) {
    const char = text[at];
    if (char === '"') return at + 1;
    at += char === '\\' ? 2 : 1;
  }
  return text.length;
}

function keyOf(token: string): string | undefined {
  try {
    const key: unknown = JSON.parse(token);
    return typeof key === 'string' ? key : undefined;
  } catch {
    return undefined;
  }
}

/**
 * `text` with the numbers of `fields` in its top-level object put into quotes, so that `5.0` arrives as "5.0" and 0.1 as
 * "0.1". All else stays byte for byte; what is not JSON stays so, save that NaN in such a field becomes a text that
 * its schema refuses by name.
 */
export function quoteAmounts(text: string, fields: ReadonlySet<string> = AMOUNT_FIELDS): string {
  const pieces: string[] = [];
  let copied = 0;
  let depth = 0;
  let lastString = '';
  let at = 0;
  while (at < text.length) {
    const char = text[at];
    if (char === '"') {
      const end = endOfString(text, at);
      lastString = depth === 1 ? text.slice(at, Math.min(end, at + 200)) : '';
      at = end;
      continue;
    }
    if (char === '{' || char === '[') depth++;
    else if (char === '}' || char === ']') depth--;
    at++;
    if (char !== ':' || depth !== 1 || !fields.has(keyOf(lastString) ?? '')) continue;
    while (/\s/.test(text[at] ?? '')) at++;
    NUMBER_LIKE.lastIndex = at;
    const number = NUMBER_LIKE.exec(text)?.[0];
    if (number === undefined) continue;
    pieces.push(text.slice(copied, at), JSON.stringify(number));
    at += number.length;
    copied = at;
  }
  return copied === 0 ? text : pieces.join('') + text.slice(copied);
}

/** JSON of a request's body, amounts as text. Throws a SyntaxError for what is not JSON. */
export function parseJsonBody(text: string): unknown {
  return JSON.parse(quoteAmounts(text));
}
