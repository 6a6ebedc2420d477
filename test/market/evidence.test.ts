import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Treasurer } from '../../src/market/requester/money.ts';
import { silentLogger } from '../../src/util/index.ts';
import {
  cancelKind,
  mutualKind,
  open,
  type Signer,
  seal,
  signerFromSeed,
  timeoutKind,
} from '../../src/wire/index.ts';

const test = suite('market: evidence');

const net = new Uint8Array(32).fill(1);
const escrowId = 'a'.repeat(64);
const [requester, worker, stranger] = [11, 12, 13].map(fill =>
  signerFromSeed(new Uint8Array(32).fill(fill)),
) as [Signer, Signer, Signer];

type Parts = ConstructorParameters<typeof Treasurer>;
const treasurer = new Treasurer(
  { genesis: { net }, signer: requester, logger: silentLogger } as unknown as Parts[0],
  {} as Parts[1],
  {} as Parts[2],
);
const agree = (bytes: Uint8Array, most = 100n) => treasurer.agree(bytes, escrowId, worker.peer, most);

test('a worker’s cancellation is taken as it is', () => {
  const { bytes } = seal(cancelKind, { net, escrowId }, worker);
  assert.is(agree(bytes), bytes);
});

test('a split is signed up to what the rule gives, and not above', () => {
  const split = (pay: bigint) => seal(mutualKind, { net, escrowId, pay }, worker).bytes;
  const both = agree(split(100n));
  assert.ok(both);
  assert.equal([...open(mutualKind, both!).signers].sort(), [requester.peer, worker.peer].sort());
  assert.is(agree(split(101n)), undefined);
  assert.is(agree(split(1n), 0n), undefined);
});

const wrong: [string, Uint8Array][] = [
  ['a stranger’s cancellation', seal(cancelKind, { net, escrowId }, stranger).bytes],
  ['a cancellation of another escrow', seal(cancelKind, { net, escrowId: 'b'.repeat(64) }, worker).bytes],
  ['one of another network', seal(cancelKind, { net: new Uint8Array(32), escrowId }, worker).bytes],
  ['a stranger’s split', seal(mutualKind, { net, escrowId, pay: 1n }, stranger).bytes],
  ['a statement that closes in another way', seal(timeoutKind, { net, escrowId, step: 'claim' }).bytes],
  ['garbage', Buffer.from('nonsense')],
  ['nothing', new Uint8Array()],
];

for (const [what, bytes] of wrong)
  test(`not taken as evidence: ${what}`, () => {
    assert.is(agree(bytes), undefined);
  });

test.run();
