import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { amountProblem, formatAmount, MAX_UNITS, parseAmount } from '../../src/api/index.ts';
import { parseJsonBody, quoteAmounts } from '../../src/api/json-text.ts';

const test = suite('api: amounts');

test('decimal text is units of 1e-8, exactly', () => {
  const table: [string, bigint][] = [
    ['0', 0n],
    ['5', 500_000_000n],
    ['5.0', 500_000_000n],
    ['0.1', 10_000_000n],
    ['0.00000001', 1n],
    ['92233720368.54775807', MAX_UNITS],
  ];
  for (const [text, units] of table) assert.is(parseAmount(text), units, text);
});

test('what is no amount is said in words', () => {
  const table: [string, RegExp][] = [
    ['-1', /negative/],
    ['-0', /negative/],
    ['1e3', /exponent/],
    ['1.5E-2', /exponent/],
    ['0.123456789', /8 decimal places/],
    ['0.000000000', /8 decimal places/],
    ['92233720368.54775808', /at most 92233720368.54775807/],
    ['9'.repeat(40), /at most/],
    ['9'.repeat(41), /decimal number/],
    ['NaN', /decimal number/],
    ['Infinity', /decimal number/],
    ['', /decimal number/],
    ['.5', /decimal number/],
    ['5.', /decimal number/],
    ['05', /decimal number/],
    ['+5', /decimal number/],
    ['5,0', /decimal number/],
    ['0x10', /decimal number/],
    ['٥', /decimal number/],
  ];
  for (const [text, problem] of table) assert.match(amountProblem(text) ?? 'none', problem, text);
});

test('every amount survives its text', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: MAX_UNITS }), units => parseAmount(formatAmount(units)) === units),
  );
});

test('amounts of a body are kept as written, and nothing else is changed', () => {
  const quoted = (text: string) => quoteAmounts(text);
  assert.is(quoted('{"payment_amount": 5.0}'), '{"payment_amount": "5.0"}');
  assert.is(quoted('{"max_total":0.1,"a":1}'), '{"max_total":"0.1","a":1}');
  assert.is(quoted('{"payment_amount" :\n 1e3}'), '{"payment_amount" :\n "1e3"}');
  assert.is(quoted('{"payment\\u005famount": 7}'), '{"payment\\u005famount": "7"}');
  assert.is(quoted('{"payment_amount": NaN}'), '{"payment_amount": "NaN"}');
  assert.is(quoted('{"payment_amount": -Infinity}'), '{"payment_amount": "-Infinity"}');
  const kept = [
    '{"payment_amount": "5.0"}',
    '{"code": "{\\"payment_amount\\": 5}"}',
    '{"labels": {"payment_amount": 5}}',
    '[{"payment_amount": 5}]',
    '{"a": "payment_amount", "b": 5}',
    '{"payment_amount": null}',
    '{"payment_amount',
    '"payment_amount": 5',
    '',
  ];
  for (const text of kept) assert.is(quoted(text), text);
});

test('a body without amounts reads as JSON does', () => {
  fc.assert(
    fc.property(fc.jsonValue(), value => {
      const text = JSON.stringify(value);
      assert.equal(parseJsonBody(text), JSON.parse(text));
    }),
  );
});

test.run();
