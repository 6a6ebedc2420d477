/** Units in one FLOP: amounts are counted in 1e-8 FLOP. */
export const UNITS_PER_FLOP = 100_000_000n;
const PLACES = 8;
/** The largest amount that the ledger takes: 2^63 - 1 units. */
export const MAX_UNITS = 2n ** 63n - 1n;
/** Longer texts are not amounts: the largest one has 11 digits, a point and 8 more. */
const MAX_TEXT = 40;

/** What is wrong with `text` as an amount, in words for its user; undefined when nothing is. */
export function amountProblem(text: string): string | undefined {
  if (/^-/.test(text)) return 'must not be negative';
  if (/^[\d.]+[eE]/.test(text)) return 'must be written without an exponent';
  if (text.length > MAX_TEXT || !/^(0|[1-9]\d*)(\.\d+)?$/.test(text))
    return 'must be a decimal number such as 5 or 0.25';
  if ((text.split('.')[1] ?? '').length > PLACES) return `must have at most ${PLACES} decimal places`;
  if (unitsOf(text) > MAX_UNITS) return `must be at most ${formatAmount(MAX_UNITS)}`;
  return undefined;
}

function unitsOf(text: string): bigint {
  const [whole = '0', fraction = ''] = text.split('.');
  return BigInt(whole) * UNITS_PER_FLOP + BigInt(fraction.padEnd(PLACES, '0') || '0');
}

/** Decimal text of FLOP as units of 1e-8 FLOP. Call `amountProblem` first: a RangeError here is a mistake of the caller. */
export function parseAmount(text: string): bigint {
  const problem = amountProblem(text);
  if (problem) throw new RangeError(`amount ${problem}`);
  return unitsOf(text);
}

/** Units of 1e-8 FLOP as the shortest decimal text: `5`, `0.1`, `-2.00000001`. */
export function formatAmount(units: bigint): string {
  const absolute = units < 0n ? -units : units;
  const fraction = (absolute % UNITS_PER_FLOP).toString().padStart(PLACES, '0').replace(/0+$/, '');
  const whole = (absolute / UNITS_PER_FLOP).toString();
  return `${units < 0n ? '-' : ''}${whole}${fraction ? `.${fraction}` : ''}`;
}
