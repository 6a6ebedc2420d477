import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  addSignature,
  cancelKind,
  certificateKind,
  decodeCanonical,
  disputeKind,
  encodeCbor,
  genesisInfo,
  genesisKind,
  type Kind,
  mutualKind,
  open,
  peekKind,
  preAuthEncoding,
  seal,
  skipKind,
  standingKind,
  timeoutKind,
  WireError,
} from '../../src/wire/index.ts';
import {
  alice,
  bob,
  bytesOf,
  carol,
  envelopeOf,
  escrowId,
  forge,
  type KindSample,
  kindSamples,
  net,
  type RawEnvelope,
} from './samples.ts';

const test = suite('wire: envelopes');

const rawOf = (bytes: Uint8Array) => decodeCanonical(bytes, 1 << 20, 'test') as RawEnvelope;

function codeOf(fn: () => unknown): string {
  try {
    fn();
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  return 'opened';
}

const codeOfOpen = (kind: KindSample['kind'], bytes: Uint8Array) => codeOf(() => open(kind, bytes));

test('the signed bytes are those of DSSE v1.0.2', () => {
  const text = Buffer.from(preAuthEncoding('http://example.com/HelloWorld', bytesOf('hello world')));
  assert.is(text.toString(), 'DSSEv1 29 http://example.com/HelloWorld 11 hello world');
});

test('a statement of one kind is refused as every other', () => {
  for (const sample of kindSamples)
    for (const { kind } of kindSamples) {
      const code = codeOfOpen(kind, envelopeOf(sample));
      if (kind === sample.kind) assert.is(code, 'opened');
      else
        assert.ok(
          ['WIRE_SCHEMA', 'WIRE_TOO_LARGE'].includes(code),
          `${sample.kind.name} as ${kind.name}: ${code}`,
        );
    }
});

test('a signature for one kind does not count for another, nor one of another version', () => {
  const sample = kindSamples.find(({ kind }) => kind === (cancelKind as Kind<never>)) as KindSample;
  const raw = rawOf(envelopeOf(sample));
  const asTimeout = encodeCbor({ ...raw, type: 'application/vnd.duxnode.dispute.v1+dag-cbor' });
  assert.is(codeOfOpen(disputeKind, asTimeout), 'WIRE_SIGNATURE');
  const next = forge(sample, sample.body, { type: 'application/vnd.duxnode.cancel.v2+dag-cbor' });
  assert.is(codeOfOpen(cancelKind, next), 'WIRE_SCHEMA');
});

test('a field too many, or one too few, is refused in body and envelope', () => {
  for (const sample of kindSamples) {
    const { kind, body } = sample;
    assert.is(codeOfOpen(kind, forge(sample, body)), 'opened', kind.name);
    assert.is(codeOfOpen(kind, forge(sample, { ...body, extra: 1 })), 'WIRE_SCHEMA', kind.name);
    for (const field of Object.keys(body)) {
      const { [field]: _, ...rest } = body;
      assert.is(codeOfOpen(kind, forge(sample, rest)), 'WIRE_SCHEMA', `${kind.name} without ${field}`);
    }
    const raw = rawOf(envelopeOf(sample));
    assert.is(codeOfOpen(kind, encodeCbor({ ...raw, extra: 1 })), 'WIRE_SCHEMA', kind.name);
  }
});

test('bytes before, after or in another encoding are refused', () => {
  for (const sample of kindSamples) {
    const { kind } = sample;
    const bytes = envelopeOf(sample);
    assert.is(codeOfOpen(kind, Buffer.concat([bytes, Uint8Array.of(0)])), 'WIRE_MALFORMED');
    assert.is(codeOfOpen(kind, Buffer.concat([Uint8Array.of(0), bytes])), 'WIRE_MALFORMED');
    assert.is(codeOfOpen(kind, bytes.subarray(0, -1)), 'WIRE_MALFORMED');
    const body = encodeCbor(sample.body);
    const longHead = Buffer.concat([Uint8Array.of(0xb8, (body[0] as number) & 31), body.subarray(1)]);
    const code = codeOfOpen(kind, forge(sample, null, { body: longHead }));
    assert.ok(['WIRE_MALFORMED', 'WIRE_NOT_CANONICAL'].includes(code), `${kind.name}: ${code}`);
  }
});

test('a map whose keys are out of order is refused', () => {
  const unordered = Uint8Array.of(0xa2, 0x61, 0x62, 1, 0x61, 0x61, 2);
  const twice = Uint8Array.of(0xa2, 0x61, 0x61, 1, 0x61, 0x61, 2);
  assert.is(
    codeOf(() => decodeCanonical(unordered, 100, 'x')),
    'WIRE_NOT_CANONICAL',
  );
  assert.ok(codeOf(() => decodeCanonical(twice, 100, 'x')).startsWith('WIRE_'));
});

test('what would read as something else than it says is refused', () => {
  const wrong = {
    'a key that no object keeps': 'a1695f5f70726f746f5f5f00',
    'no UTF-8': '61ff',
    'a float': 'f93c00',
  };
  for (const [name, hex] of Object.entries(wrong))
    assert.is(
      codeOf(() => decodeCanonical(Buffer.from(hex, 'hex'), 100, 'x')),
      'WIRE_NOT_CANONICAL',
      name,
    );
});

test('no signature, a wrong one, a foreign one, or one twice is refused', () => {
  for (const sample of kindSamples.filter(({ signers }) => signers.length > 0)) {
    const { kind } = sample;
    const raw = rawOf(envelopeOf(sample));
    const [first] = raw.signatures;
    assert.ok(first);
    const withSignatures = (...signatures: RawEnvelope['signatures']) =>
      codeOfOpen(kind, encodeCbor({ ...raw, signatures }));
    assert.is(withSignatures(), 'WIRE_SIGNATURE', kind.name);
    assert.is(withSignatures(first, first), 'WIRE_SIGNATURE');
    assert.is(
      withSignatures({ ...first, key: carol.peer === first.key ? bob.peer : carol.peer }),
      'WIRE_SIGNATURE',
    );
    assert.is(withSignatures({ ...first, sig: first.sig.slice(1) }), 'WIRE_SIGNATURE');
    assert.is(withSignatures({ ...first, sig: new Uint8Array(64) }), 'WIRE_SIGNATURE');
    assert.is(withSignatures({ ...first, sig: new Uint8Array(65) }), 'WIRE_SCHEMA');
  }
});

test('the second form of a signature (S + L) is refused', () => {
  const sample = kindSamples[0] as KindSample;
  const raw = rawOf(envelopeOf(sample));
  const [first] = raw.signatures;
  assert.ok(first);
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const s = BigInt(`0x${Buffer.from(first.sig.slice(32)).reverse().toString('hex')}`) + order;
  const high = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse();
  const sig = new Uint8Array(Buffer.concat([first.sig.slice(0, 32), high]));
  assert.is(
    codeOfOpen(sample.kind, encodeCbor({ ...raw, signatures: [{ ...first, sig }] })),
    'WIRE_SIGNATURE',
  );
});

test('signatures are limited in number, and their keys are not looked at past that', () => {
  const raw = rawOf(envelopeOf(kindSamples[0] as KindSample));
  const many = Array.from({ length: 17 }, () => ({ key: 'nobody', sig: new Uint8Array(0) }));
  assert.throws(
    () => open(genesisKind, encodeCbor({ ...raw, signatures: many })),
    (error: Error) => error instanceof WireError && 'path' in error.type && error.type.path === 'signatures',
  );
});

test('more signatures are added to the same statement, each signer once', () => {
  const body = { net, escrowId, pay: 7n };
  const one = seal(mutualKind, body, alice);
  const two = addSignature(mutualKind, one, bob);
  assert.equal(open(mutualKind, two.bytes).signers, [alice.peer, bob.peer]);
  assert.equal(two.digest, one.digest);
  assert.equal(two.bytes, seal(mutualKind, body, alice, bob).bytes);
  assert.is(addSignature(mutualKind, two, alice), two);
  assert.equal(seal(mutualKind, { ...body, pay: 7 }, alice).bytes, one.bytes);
});

test('what would be too large to be taken is not sealed', () => {
  const reason = 'x'.repeat(1000);
  const signers = Array.from({ length: 16 }, () => alice);
  assert.is(
    codeOf(() => seal(disputeKind, { net, escrowId, reason }, ...signers)),
    'WIRE_TOO_LARGE',
  );
  assert.is(
    codeOf(() => seal(disputeKind, { net, escrowId, reason: `${reason}x` }, alice)),
    'WIRE_SCHEMA',
  );
  for (const { kind } of kindSamples)
    assert.is(codeOfOpen(kind, new Uint8Array(kind.maxBytes + 1)), 'WIRE_TOO_LARGE');
});

test('what time alone or the notaries prove needs no signer; everything else does', () => {
  const unsigned = kindSamples.filter(({ kind }) => kind.minSignatures === 0);
  assert.equal(
    unsigned.map(({ kind }) => kind.name),
    [timeoutKind.name, standingKind.name, skipKind.name],
  );
  assert.equal(open(timeoutKind, seal(timeoutKind, { net, escrowId, step: 'claim' }).bytes).signers, []);
});

test('a genesis is its admin’s alone, and its supply is an amount', () => {
  const { body } = kindSamples[0] as KindSample;
  const genesis = genesisKind.schema.parse(body);
  assert.is(genesisInfo(seal(genesisKind, genesis, alice)).supply, 2n ** 60n);
  assert.is(
    codeOf(() => genesisInfo(seal(genesisKind, genesis, bob))),
    'WIRE_SIGNATURE',
  );
  assert.is(
    codeOf(() => genesisInfo(seal(genesisKind, genesis, alice, bob))),
    'WIRE_SIGNATURE',
  );
  const half = { account: alice.peer, amount: 2n ** 62n };
  assert.is(
    codeOf(() => seal(genesisKind, { ...genesis, allocations: [half, half] }, alice)),
    'WIRE_SCHEMA',
  );
  const notaries = [alice.peer, alice.peer];
  assert.is(
    codeOf(() => seal(genesisKind, { ...genesis, notaries }, alice)),
    'WIRE_SCHEMA',
  );
});

test('peeking tells the kind, and undefined for what is no envelope', () => {
  for (const sample of kindSamples) assert.is(peekKind(envelopeOf(sample), 1 << 16), sample.kind.name);
  for (const bytes of [new Uint8Array(0), bytesOf('x'), encodeCbor({}), new Uint8Array(5000).fill(0x81)])
    assert.is(peekKind(bytes, 1 << 16), undefined);
  assert.is(peekKind(envelopeOf(kindSamples[0] as KindSample), 10), undefined);
  assert.is(certificateKind.name, 'certificate');
});

test.run();
