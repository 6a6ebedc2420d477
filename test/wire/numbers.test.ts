import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  amountSchema,
  encodeCbor,
  type Funds,
  fundsKind,
  MAX_AMOUNT,
  MAX_ARBITERS,
  type Offer,
  offerKind,
  open,
  positiveAmountSchema,
  type Signer,
  seal,
  WireError,
} from '../../src/wire/index.ts';
import { alice, forge, type KindSample, kindSamples, signerOf } from './samples.ts';

const test = suite('wire: numbers and bytes');

type Path = readonly (string | number)[];

/** Where in `value` leaves of these types are. */
function pathsTo(value: unknown, isLeaf: (leaf: unknown) => boolean, path: Path = []): Path[] {
  if (isLeaf(value)) return [path];
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [];
  return Object.entries(value).flatMap(([key, inner]) => pathsTo(inner, isLeaf, [...path, key]));
}

function replaced(value: unknown, [key, ...rest]: Path, leaf: unknown): unknown {
  if (key === undefined) return leaf;
  const copy = Array.isArray(value) ? [...value] : { ...(value as object) };
  const fields = copy as Record<string | number, unknown>;
  fields[key] = replaced(fields[key], rest, leaf);
  return copy;
}

function codeOf(sample: KindSample, bytes: Uint8Array): string {
  try {
    open(sample.kind, bytes);
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  return 'opened';
}

function replaceBytes(bytes: Uint8Array, from: Uint8Array, to: Uint8Array): Uint8Array {
  const at = Buffer.from(bytes).indexOf(from);
  assert.ok(at >= 0);
  return new Uint8Array(Buffer.concat([bytes.subarray(0, at), to, bytes.subarray(at + from.length)]));
}

/** A float64 head and its eight bytes. */
const float = (hex: string) => new Uint8Array(Buffer.from(`fb${hex}`, 'hex'));
const SENTINEL = 1.5;
const SENTINEL_BYTES = float('3ff8000000000000');

test('no field of any kind takes a fraction, text, negative, 2^63 or another type for a number', () => {
  let fields = 0;
  for (const sample of kindSamples)
    for (const path of pathsTo(sample.body, leaf => ['number', 'bigint'].includes(typeof leaf))) {
      fields++;
      for (const leaf of [
        SENTINEL,
        -1,
        -(2n ** 63n),
        2n ** 63n,
        2n ** 64n - 1n,
        '1',
        '1e3',
        true,
        [1],
        { n: 1 },
      ]) {
        const name = `${sample.kind.name}.${path.join('.')} = ${leaf}`;
        assert.is(codeOf(sample, forge(sample, replaced(sample.body, path, leaf))), 'WIRE_SCHEMA', name);
      }
    }
  assert.ok(fields > 60, String(fields));
});

test('no field takes NaN, an infinity, minus zero, or a whole number written as a float', () => {
  const floats = [
    '7ff8000000000000',
    '7ff0000000000000',
    'fff0000000000000',
    '8000000000000000',
    '3ff0000000000000',
  ];
  for (const sample of kindSamples)
    for (const path of pathsTo(sample.body, leaf => ['number', 'bigint'].includes(typeof leaf))) {
      const body = encodeCbor(replaced(sample.body, path, SENTINEL));
      for (const hex of floats) {
        const forged = forge(sample, null, { body: replaceBytes(body, SENTINEL_BYTES, float(hex)) });
        const code = codeOf(sample, forged);
        const name = `${sample.kind.name}.${path.join('.')} = ${hex}: ${code}`;
        assert.ok(['WIRE_MALFORMED', 'WIRE_NOT_CANONICAL'].includes(code), name);
      }
    }
});

test('no hash takes another length, no bytes take text', () => {
  for (const sample of kindSamples)
    for (const path of pathsTo(sample.body, leaf => leaf instanceof Uint8Array && leaf.length === 32))
      for (const leaf of [new Uint8Array(31), new Uint8Array(33), 'a'.repeat(32), null, 7, []]) {
        const nullable = leaf === null && path[0] === 'previous';
        const code = codeOf(sample, forge(sample, replaced(sample.body, path, leaf)));
        assert.is(code, nullable ? 'opened' : 'WIRE_SCHEMA', `${sample.kind.name}.${path.join('.')}`);
      }
});

test('the largest offer fits: the longest image name, four arbiters, funds that five of seven notaries signed', () => {
  const bodyOf = (kind: KindSample['kind']) => kindSamples.find(sample => sample.kind === kind)!.body;
  const notaries = ['one', 'two', 'three', 'four', 'five'].map(signerOf) as [Signer, ...Signer[]];
  const funds = seal(fundsKind, bodyOf(fundsKind) as Funds, ...notaries).bytes;
  const offer = bodyOf(offerKind) as Offer;
  const needs = { ...offer.needs, image: 'i'.repeat(255) };
  const terms = { ...offer.terms, arbiters: notaries.slice(0, MAX_ARBITERS).map(({ peer }) => peer) };
  assert.ok(seal(offerKind, { ...offer, funds, needs, terms }, alice).bytes.length > 2048);
});

test('an amount is 0 to 2^63 - 1, an operation’s at least 1', () => {
  assert.is(amountSchema.parse(0), 0n);
  assert.is(amountSchema.parse(MAX_AMOUNT), MAX_AMOUNT);
  for (const amount of [MAX_AMOUNT + 1n, -1, -1n, 0.5, '1', Number.NaN, 2 ** 53, null])
    assert.not.ok(amountSchema.safeParse(amount).success, String(amount));
  assert.not.ok(positiveAmountSchema.safeParse(0n).success);
  assert.is(positiveAmountSchema.parse(1), 1n);
});

test.run();
