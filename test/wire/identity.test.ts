import { ed25519 } from '@noble/curves/ed25519';
import fc from 'fast-check';
import { base58btc } from 'multiformats/bases/base58';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  encodeCbor,
  genesisKind,
  isPeerText,
  keyBytesToPeer,
  open,
  orderKind,
  peerSchema,
  peerToKeyBytes,
  verifySignature,
  WireError,
} from '../../src/wire/index.ts';
import { alice, bytesOf, hashOf, net, signerOf } from './samples.ts';

const test = suite('wire: identities');

/** The eight points of small order, and the other encodings of them that decoders have let through. */
const SMALL_ORDER = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
];
const NOT_CANONICAL = [
  '0100000000000000000000000000000000000000000000000000000000000080',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
];

const fromHex = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));

test('a sound key goes into its peer id and out again', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), seed => {
      const key = ed25519.getPublicKey(seed);
      const peer = keyBytesToPeer(key);
      assert.match(peer, /^12D3KooW/);
      assert.equal(peerToKeyBytes(peer), key);
    }),
    { numRuns: 20 },
  );
});

test('our signatures are those of RFC 8032, and checked alike', () => {
  const signer = signerOf('alice');
  const message = bytesOf('message');
  assert.equal(new Uint8Array(signer.sign(message)), ed25519.sign(message, hashOf('alice')));
  assert.ok(verifySignature(signer.peer, message, signer.sign(message)));
  assert.not.ok(verifySignature(signer.peer, bytesOf('massage'), signer.sign(message)));
});

test('keys of small order and other encodings are no identities', () => {
  for (const hex of [...SMALL_ORDER, ...NOT_CANONICAL]) {
    const peer = keyBytesToPeer(fromHex(hex));
    assert.is(peerToKeyBytes(peer), undefined, hex);
    assert.not.ok(peerSchema.safeParse(peer).success);
    assert.not.ok(verifySignature(peer, bytesOf('m'), new Uint8Array(64)));
  }
});

test('keys with a part of small order are no identities, though they are points', () => {
  const { ExtendedPoint } = ed25519;
  const key = ExtendedPoint.fromHex(ed25519.getPublicKey(hashOf('alice')));
  for (const hex of SMALL_ORDER.slice(1)) {
    const mixed = key.add(ExtendedPoint.fromHex(fromHex(hex), false)).toRawBytes();
    const peer = keyBytesToPeer(mixed);
    assert.ok(isPeerText(peer));
    assert.is(peerToKeyBytes(peer), undefined, hex);
  }
});

test('a signature that a small-order key passes for anything opens nothing', () => {
  const type = 'application/vnd.duxnode.order.v1+dag-cbor';
  for (const hex of SMALL_ORDER) {
    const key = keyBytesToPeer(fromHex(hex));
    const body = encodeCbor({ net, requester: key, nonce: net, saltedSpecHash: net });
    const sig = new Uint8Array([...fromHex(SMALL_ORDER[0] as string), ...new Uint8Array(32)]);
    assert.throws(
      () => open(orderKind, encodeCbor({ type, body, signatures: [{ key, sig }] })),
      (error: Error) => error instanceof WireError,
    );
  }
});

test('only the one canonical text of a peer id is taken', () => {
  const raw = base58btc.baseDecode(alice.peer);
  const texts = [
    '',
    ` ${alice.peer}`,
    `${alice.peer}\n`,
    `z${alice.peer}`,
    `1${alice.peer}`,
    alice.peer.slice(0, -1),
    alice.peer.toLowerCase(),
    base58btc.baseEncode(raw.slice(0, 37)),
    base58btc.baseEncode(Uint8Array.from([...raw, 0])),
    base58btc.baseEncode(raw.map((byte, i) => (i === 3 ? 2 : byte))),
    'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG',
    '0OIl',
    '1'.repeat(1_000_000),
    'z'.repeat(1_000_000),
  ];
  for (const text of texts) {
    assert.is(peerToKeyBytes(text), undefined, text.slice(0, 80));
    assert.not.ok(isPeerText(text));
  }
  fc.assert(fc.property(fc.string(), text => peerToKeyBytes(text) === undefined));
});

test('a kind that names an unsound key refuses it', () => {
  const peer = keyBytesToPeer(fromHex(SMALL_ORDER[0] as string));
  const found = genesisKind.schema.shape.admin.safeParse(peer);
  assert.not.ok(found.success);
});

test.run();
