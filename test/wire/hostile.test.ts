import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  cidSchema,
  decodeCanonical,
  encodeCbor,
  ledgerOrderKind,
  MAX_ITEMS,
  open,
  peekKind,
  peerSchema,
  relativePathSchema,
  sameBytes,
  slotSchema,
  taskSpecSchema,
  WireError,
  workerMessage,
} from '../../src/wire/index.ts';
import { messageSamples } from './message-samples.ts';
import { bytesOf, envelopeOf, forge, type KindSample, kindSamples, signerOf } from './samples.ts';

const test = suite('wire: hostile bytes');

const envelopes = kindSamples.map(sample => ({ sample, bytes: envelopeOf(sample) }));
const encoded = messageSamples.map(({ message, value }) => ({ message, bytes: message.encode(value) }));

/** The code of the WireError that `fn` throws; undefined when it throws nothing. Any other error fails the test. */
function codeOf(fn: () => unknown): string | undefined {
  try {
    fn();
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  return undefined;
}

/** One thing done to bytes on their way. */
interface Mutation {
  readonly at: number;
  readonly length: number;
  readonly byte: number;
  readonly how: string;
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  at: fc.nat(),
  length: fc.integer({ min: 1, max: 40 }),
  byte: fc.integer({ min: 0, max: 255 }),
  how: fc.constantFrom('flip', 'set', 'cut', 'insert', 'repeat', 'truncate'),
});

function mutate(bytes: Uint8Array, { at, length, byte, how }: Mutation): Uint8Array {
  const index = at % bytes.length;
  const [before, after] = [bytes.subarray(0, index), bytes.subarray(index)];
  const mutated = Uint8Array.from(bytes);
  switch (how) {
    case 'flip':
      mutated[index] = (mutated[index] as number) ^ (1 << (byte % 8));
      return mutated;
    case 'set':
      mutated[index] = byte;
      return mutated;
    case 'cut':
      return Uint8Array.from([...before, ...after.subarray(length)]);
    case 'insert':
      return Uint8Array.from([...before, byte, ...after]);
    case 'repeat':
      return Uint8Array.from([...before, ...after.subarray(0, length), ...after]);
    default:
      return Uint8Array.from(before);
  }
}

test('random bytes never open, and throw nothing but WireErrors', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(), (bytes, pick) => {
      const { kind } = kindSamples[pick % kindSamples.length] as KindSample;
      assert.ok(codeOf(() => open(kind, bytes)));
      const { message } = encoded[pick % encoded.length] as (typeof encoded)[number];
      assert.ok(codeOf(() => message.decode(bytes)));
      assert.is(peekKind(bytes, 1000), undefined);
    }),
    { numRuns: 10_000 },
  );
});

test('random values in canonical encoding never open, and throw nothing but WireErrors', () => {
  const value = fc.letrec(tie => ({
    node: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom('type', 'body', 'signatures', 'net', 'ops'),
      fc.string(),
      fc.integer(),
      fc.bigInt(-(2n ** 64n), 2n ** 64n - 1n),
      fc.boolean(),
      fc.constant(null),
      fc.uint8Array({ maxLength: 70 }),
      fc.array(tie('node'), { maxLength: 5 }),
      fc.dictionary(fc.constantFrom('type', 'body', 'signatures', 'key', 'sig', 'x'), tie('node'), {
        noNullPrototype: true,
      }),
    ),
  })).node;
  fc.assert(
    fc.property(value, fc.nat(), (body, pick) => {
      const sample = kindSamples[pick % kindSamples.length] as KindSample;
      assert.ok(codeOf(() => open(sample.kind, encodeCbor(body))));
      assert.ok(codeOf(() => open(sample.kind, forge(sample, body))));
    }),
    { numRuns: 2000 },
  );
});

test('a signed statement that was changed on its way never opens', () => {
  const signed = envelopes.filter(({ sample }) => sample.kind.minSignatures > 0);
  fc.assert(
    fc.property(mutation, fc.nat(), (change, pick) => {
      const { sample, bytes } = signed[pick % signed.length] as (typeof signed)[number];
      const mutated = mutate(bytes, change);
      fc.pre(!sameBytes(mutated, bytes));
      assert.ok(
        codeOf(() => open(sample.kind, mutated)),
        sample.kind.name,
      );
    }),
    { numRuns: 4000 },
  );
});

test('a message that was changed on its way is refused, or is the one encoding of another value', () => {
  fc.assert(
    fc.property(mutation, fc.nat(), (change, pick) => {
      const { message, bytes } = encoded[pick % encoded.length] as (typeof encoded)[number];
      const mutated = mutate(bytes, change);
      const code = codeOf(() => assert.ok(sameBytes(message.encode(message.decode(mutated)), mutated)));
      assert.is.not(code, 'WIRE_TOO_LARGE');
    }),
    { numRuns: 4000 },
  );
});

test('whatever decodes is the one encoding of what it says', () => {
  // Heads in short and long forms, keys in and out of order, text that is UTF-8 or not, floats, tags.
  const piece = fc.constantFrom(
    ...['00', '17', '18', '1817', '1818', '1900ff', '190100', '1b0000000100000000', '1b00ffffffffffffff'],
    ...[
      '20',
      '3817',
      '3818',
      '40',
      '4161',
      '581800',
      '60',
      '6161',
      '6162',
      '626161',
      '61ff',
      '62c3a9',
      '781a',
    ],
    ...[
      '80',
      '81',
      '82',
      '9801',
      'a0',
      'a1',
      'a2',
      'a3',
      'b801',
      'c0',
      'd82a',
      'f4',
      'f5',
      'f6',
      'f7',
      'f814',
    ],
    ...['f90000', 'f97e00', 'fa3f800000', 'fb3ff0000000000000', 'fb3ff8000000000000', '695f5f70726f746f5f5f'],
  );
  const pieces = fc
    .array(piece, { minLength: 1, maxLength: 8 })
    .map(parts => Buffer.from(parts.join(''), 'hex'));
  const mutated = fc
    .tuple(mutation, fc.constantFrom(...encoded))
    .map(([change, { bytes }]) => mutate(bytes, change));
  let accepted = 0;
  fc.assert(
    fc.property(fc.oneof(pieces, mutated), bytes => {
      const code = codeOf(() => {
        assert.ok(sameBytes(encodeCbor(decodeCanonical(bytes, 1_000_000, 'bytes')), bytes));
        accepted++;
      });
      assert.is.not(code, 'WIRE_TOO_LARGE');
    }),
    { numRuns: 10_000 },
  );
  assert.ok(accepted > 1000, `${accepted} were accepted`);
});

test('what could not be read again is not written', () => {
  const file = messageSamples.find(({ variant }) => variant === 'file');
  assert.ok(file);
  for (const path of ['a\\b', '\u009b2J', 'é'.repeat(128)])
    assert.is(
      codeOf(() => file.message.encode({ ...file.value, path })),
      'WIRE_SCHEMA',
    );
  for (const { message, value } of messageSamples)
    assert.is(
      codeOf(() => message.encode({ ...value, more: 1 })),
      'WIRE_SCHEMA',
      message.name,
    );
});

test('no text, however wrong, makes a schema throw', () => {
  const schemas = [peerSchema, cidSchema, slotSchema, relativePathSchema];
  const texts = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('b', 'z', 'Q', 'm', 'a', 'f', 'k', '1', '2', '7', '/', '.') }),
    fc.string().map(text => `bafkrei${text}`),
    fc.string().map(text => `12D3KooW${text}`),
  );
  fc.assert(
    fc.property(texts, text => {
      for (const schema of schemas) schema.safeParse(text);
    }),
    { numRuns: 2000 },
  );
});

/** Far above what it takes, far below what it took without the bounds (seconds to hours). */
const PATIENCE_MS = 3000;

function quickly(fn: () => unknown): string | undefined {
  const startedAt = performance.now();
  const code = codeOf(fn);
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs < PATIENCE_MS, `took ${tookMs} ms`);
  return code;
}

test('nesting is bounded, for every opener of a nested item', () => {
  for (const [opener, close] of [
    [[0x81], [0x80]],
    [[0xa1, 0x61, 0x61], [0xa0]],
    [
      [0xd8, 0x2a],
      [0x41, 0x00],
    ],
  ] as const) {
    const nested = (depth: number) =>
      Uint8Array.from([...Array.from({ length: depth }, () => opener).flat(), ...close]);
    assert.is(
      quickly(() => decodeCanonical(nested(100_000), 1 << 20, 'x')),
      'WIRE_TOO_COMPLEX',
    );
    assert.is(
      quickly(() => decodeCanonical(nested(32), 1 << 20, 'x')),
      'WIRE_TOO_COMPLEX',
    );
  }
  const array = (depth: number) => Uint8Array.from([...new Uint8Array(depth).fill(0x81), 0x80]);
  assert.is(
    codeOf(() => decodeCanonical(array(31), 1 << 20, 'x')),
    undefined,
  );
  assert.is(
    quickly(() => workerMessage.decode(new Uint8Array(workerMessage.maxBytes).fill(0x81))),
    'WIRE_TOO_COMPLEX',
  );
});

test('the number of parts is bounded, and a claimed length costs nothing', () => {
  const wide = Object.fromEntries(Array.from({ length: MAX_ITEMS }, (_, i) => [`k${i}`, 0]));
  assert.is(
    quickly(() => workerMessage.decode(encodeCbor(wide))),
    'WIRE_TOO_COMPLEX',
  );
  const most = encodeCbor(Array.from({ length: MAX_ITEMS - 1 }, () => 0));
  assert.is(
    codeOf(() => decodeCanonical(most, 1 << 20, 'x')),
    undefined,
  );
  for (const head of [0x9b, 0xbb, 0x5b, 0x7b])
    for (const length of [
      [0, 0, 0, 1, 0, 0, 0, 0],
      [255, 255, 255, 255, 255, 255, 255, 255],
    ]) {
      const claim = Uint8Array.of(head, ...length);
      assert.is(
        quickly(() => decodeCanonical(claim, 100, 'x')),
        'WIRE_MALFORMED',
      );
    }
  for (const indefinite of [[0x9f, 0xff], [0xbf, 0xff], [0x5f, 0xff], [0x1c], [0xff], []])
    assert.is(
      codeOf(() => decodeCanonical(Uint8Array.from(indefinite), 100, 'x')),
      'WIRE_MALFORMED',
    );
});

test('text of megabytes in a small field is refused at once', () => {
  for (const letter of ['z', '1', 'b', 'Q', '/', '.']) {
    const text = letter.repeat(3_000_000);
    for (const schema of [peerSchema, cidSchema, slotSchema, relativePathSchema])
      assert.is(
        quickly(() => assert.not.ok(schema.safeParse(text).success)),
        undefined,
      );
  }
});

test('a ledger order full of new keys is checked in bounded time', () => {
  const sample = kindSamples.find(({ kind }) => kind.name === ledgerOrderKind.name) as KindSample;
  const order = ledgerOrderKind.schema.parse(sample.body);
  const [lock] = order.ops;
  assert.ok(lock?.op === 'lock');
  const peers = Array.from({ length: 32 * 28 }, (_, i) => signerOf(`key ${i}`).peer);
  const ops = Array.from({ length: 28 }, (_, i) => {
    const named = peers.slice(32 * i, 32 * i + 32);
    return { ...lock, attempt: i + 1, verifiers: named.slice(16), arbiters: named.slice(0, 16) };
  });
  assert.is(
    quickly(() => open(sample.kind, forge(sample, { ...order, ops }))),
    undefined,
  );
});

test('keys of the object’s own machinery are no way in', () => {
  const proto = Uint8Array.from([0xa1, 0x69, ...bytesOf('__proto__'), 0xa1, 0x61, 0x61, 0x01]);
  assert.ok(codeOf(() => decodeCanonical(proto, 100, 'x')));
  assert.is(({} as { a?: number }).a, undefined);
  for (const sample of kindSamples)
    for (const key of ['constructor', 'toString', 'hasOwnProperty'])
      assert.is(
        codeOf(() => open(sample.kind, forge(sample, { ...sample.body, [key]: 1 }))),
        'WIRE_SCHEMA',
      );
});

test('an error never carries more than a little of the other side’s text', () => {
  const message = messageSamples.find(sample => sample.message.name === 'task-spec');
  assert.ok(message);
  const env = { ['x'.repeat(100_000)]: 'y', '=': 'z' };
  try {
    message.message.decode(encodeCbor({ ...message.value, env }));
    assert.unreachable();
  } catch (error) {
    assert.ok(error instanceof WireError);
    assert.ok(error.message.length < 600 && JSON.stringify(error.type).length < 600);
  }
  const many = Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [`E${i}`, '']));
  assert.not.ok(taskSpecSchema.shape.env.safeParse(many).success);
});

test.run();
