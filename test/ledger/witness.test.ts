import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Intent } from '../../src/ledger/ballots.ts';
import {
  checkContradiction,
  contradictionOf,
  createNotary,
  createWitness,
  readWord,
  type Word,
} from '../../src/ledger/index.ts';
import { noMetrics, silentLogger } from '../../src/util/index.ts';
import {
  type BodyOf,
  certificateKind,
  ledgerRequestMessage,
  mergeSignatures,
  open,
  proposalKind,
  reportKind,
  type Signer,
  seal,
  sha256,
  skipKind,
  voteKind,
} from '../../src/wire/index.ts';
import { withDatabase } from '../db/temp-dir.ts';
import { waitFor } from '../fixtures/wait.ts';
import { code, granted, withLedger } from './network.ts';
import { SimNotary } from './sim-notary.ts';
import { fastPost } from './sim-post.ts';
import { Schedule } from './sim-schedule.ts';
import { makeWorld } from './sim-world.ts';
import * as s from './support.ts';

const test = suite('ledger: contradictions');
const { alice, bob, carol, T0 } = s;
const [liar, honest] = [s.person('liar'), s.person('notary')];
const { net } = s.genesis;
const [x, y] = ['x', 'y'].map(text => sha256(Buffer.from(text))) as [Uint8Array, Uint8Array];

type Change = Partial<BodyOf<typeof voteKind>>;
const slot = { net, epoch: 0, slot: `A/${alice.peer}/0` };
const body = (ballot: number, value: Uint8Array, change: Change = {}) => ({
  ...slot,
  ballot,
  value,
  ...change,
});
const vote = (ballot: number, value: Uint8Array, signers: Signer[] = [liar], change?: Change) =>
  seal(voteKind, body(ballot, value, change), ...signers);
const commit = (ballot: number, value: Uint8Array, ...signers: Signer[]) =>
  seal(certificateKind, body(ballot, value), ...(signers.length > 0 ? signers : [liar]));
const proposal = (ballot: number, value: Uint8Array) => seal(proposalKind, body(ballot, value), liar);
const report = (ballot: number, lock: { ballot: number; value: Uint8Array } | null, at = T0) =>
  seal(reportKind, { ...slot, ballot, at, lock: lock && { epoch: slot.epoch, ...lock }, known: [] }, liar);
const order = (signer: Signer, seq: number, amount: bigint) =>
  s.makeOrder(signer, seq, [{ op: 'transfer', to: bob.peer, amount }]);

type Envelope = { readonly bytes: Uint8Array };
/** The same whichever comes first. */
function verdict(a: Envelope, b: Envelope): string | undefined {
  const found = [
    [a, b],
    [b, a],
  ].map(([first, second]) => contradictionOf(readWord(first!.bytes), readWord(second!.bytes)));
  assert.equal(found[0], found[1]);
  return found[0]?.rule;
}

test('each thing that no honest signer does is proof against him', () => {
  const proofs: [Envelope, Envelope, string][] = [
    [vote(0, x), vote(0, y), 'voted-twice'],
    [vote(3, x), vote(3, y), 'voted-twice'],
    [commit(0, x), commit(0, y), 'committed-twice'],
    [proposal(1, x), proposal(1, y), 'proposed-twice'],
    [report(1, null), report(1, null, T0 + 1), 'reported-twice'],
    [commit(0, x), report(1, null), 'commit-unreported'],
    [commit(2, x), report(3, { ballot: 1, value: x }), 'commit-unreported'],
    [commit(2, x), report(3, { ballot: 2, value: y }), 'commit-unreported'],
    [order(alice, 0, 1n), order(alice, 0, 2n), 'ordered-twice'],
  ];
  for (const [a, b, rule] of proofs) assert.is(verdict(a, b), rule);
});

test('what honest signers may do proves nothing', () => {
  const pairs: [Envelope, Envelope][] = [
    [vote(0, x), vote(0, x)],
    [vote(0, x), vote(1, y)],
    [vote(0, x), commit(0, y)],
    [vote(0, x), vote(0, y, [honest])],
    [vote(0, x), vote(0, y, [liar], { slot: `A/${alice.peer}/1` })],
    [vote(0, x), vote(0, y, [liar], { epoch: 1 })],
    [vote(0, x), vote(0, y, [liar], { net: new Uint8Array(32) })],
    [commit(0, x), commit(1, y)],
    [proposal(1, x), proposal(2, y)],
    [report(1, null), report(2, null)],
    [commit(0, x), report(1, { ballot: 0, value: x })],
    [commit(0, x), report(2, { ballot: 1, value: y })],
    [commit(2, x), report(2, null)],
    [order(alice, 0, 1n), order(alice, 1, 2n)],
    [order(alice, 0, 1n), order(bob, 0, 1n)],
    [order(alice, 0, 1n), vote(0, x)],
  ];
  for (const [a, b] of pairs) assert.is(verdict(a, b), undefined);
});

test('only who signed both is accused; a proof counts for its network, and for what it says', () => {
  const [a, b] = [vote(0, x, [liar, honest, bob]), vote(0, y, [carol, liar])];
  assert.equal(checkContradiction(net, a.bytes, b.bytes), {
    rule: 'voted-twice',
    slot: slot.slot,
    signers: [liar.peer],
  });
  const bad = (...args: Parameters<typeof checkContradiction>) =>
    s.thrownCode(() => checkContradiction(...args));
  assert.is(bad(new Uint8Array(32), a.bytes, b.bytes), 'CONTRADICTION_NONE');
  assert.is(bad(net, a.bytes, a.bytes), 'CONTRADICTION_NONE');
  const torn = Uint8Array.from(b.bytes);
  torn[torn.length - 1]! ^= 1;
  assert.is(bad(net, a.bytes, torn), 'WIRE_SIGNATURE');
  const accept = s.accept({ escrowId: 'ab'.repeat(32), lock: s.makeLock() }, alice);
  assert.is(bad(net, a.bytes, accept.bytes), 'STATEMENT_KIND');
});

function wordOf(intent: Extract<Intent, { body: unknown }>, signer: string, digest: Uint8Array): Word {
  const rest = { signers: [signer], digest, bytes: digest, bodyBytes: digest };
  switch (intent.type) {
    case 'vote':
      return { kind: 'vote', signed: { body: intent.body, ...rest } };
    case 'commit':
      return { kind: 'commit', signed: { body: intent.body, ...rest } };
    case 'proposal':
      return { kind: 'proposal', signed: { body: intent.body, ...rest } };
    case 'report':
      return { kind: 'report', signed: { body: intent.body, ...rest } };
  }
}

/** Compares all that it says with all that it said before: a process of its own would sign each. */
class Listened extends SimNotary {
  static readonly contradictions: string[] = [];
  static words = 0;
  #said = new Map<string, Word[]>();

  override propose(...args: Parameters<SimNotary['propose']>) {
    return this.#listen(super.propose(...args));
  }
  override commit(...args: Parameters<SimNotary['commit']>) {
    return this.#listen(super.commit(...args));
  }
  override recover(...args: Parameters<SimNotary['recover']>) {
    return this.#listen(super.recover(...args));
  }
  override coordinate(...args: Parameters<SimNotary['coordinate']>) {
    return this.#listen(super.coordinate(...args));
  }
  override elect(...args: Parameters<SimNotary['elect']>) {
    return this.#listen(super.elect(...args));
  }

  #listen(intent: Intent): Intent {
    if (!('body' in intent)) return intent;
    const text = JSON.stringify({ type: intent.type, ...intent.body });
    const word = wordOf(intent, String(this.index), Buffer.from(text));
    const before = this.#said.get(intent.body.slot) ?? [];
    for (const other of before) {
      const found = contradictionOf(other, word);
      if (found) Listened.contradictions.push(`${found.rule} in ${found.slot}`);
    }
    this.#said.set(intent.body.slot, [...before, word]);
    Listened.words++;
    return intent;
  }
}

test('honest notaries never contradict themselves, whatever liars do: also where liars are too many', () => {
  const world = makeWorld(4);
  // A schedule provokes hundreds of refusals, whose stacks would cost more than all else.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  for (const byzantine of [1, 2])
    for (let seed = 0; seed < 100; seed++) {
      const own = { ...world, byDigest: new Map(world.byDigest) };
      new Schedule(own, fastPost(), seed, { byzantine, steps: 70, Notary: Listened }).run();
    }
  Error.stackTraceLimit = stackTraceLimit;
  assert.ok(Listened.words > 5_000, String(Listened.words));
  assert.equal([...new Set(Listened.contradictions)], []);
});

/** A witness of a network whose only notary lies, over a real database; what it tells others is in `told`. */
function withWitness(
  fn: (parts: { make: () => ReturnType<typeof createWitness>; told: Uint8Array[] }) => Promise<void>,
): Promise<void> {
  const told: Uint8Array[] = [];
  return withDatabase(async db => {
    const network = {
      self: honest.peer,
      isConnected: () => true,
      async call(_peer: string, _protocol: string, request: Uint8Array) {
        told.push(request);
        return request;
      },
    };
    const parts = { db, network, clock: s.manualClock(), logger: silentLogger, metrics: noMetrics };
    await fn({ make: () => createWitness(parts, { notaries: () => [liar.peer, honest.peer] }), told });
  });
}

test('a proof is kept once for each signer and slot, told once, and outlives a restart', () =>
  withWitness(async ({ make, told }) => {
    const witness = make();
    await witness.start();
    witness.hear([vote(0, x).bytes, vote(0, x).bytes]);
    assert.is(witness.proofs().length, 0);
    witness.hear([vote(0, y).bytes]);
    witness.hear([commit(0, x).bytes, commit(0, y).bytes]);
    const [proof, ...more] = witness.proofs();
    assert.is(more.length, 0);
    assert.is(proof?.signer, liar.peer);
    assert.equal(checkContradiction(net, proof!.first, proof!.second).signers, [liar.peer]);
    await witness.stop();
    assert.equal(told, [
      ledgerRequestMessage.encode({ type: 'witness', words: [proof!.first, proof!.second] }),
    ]);
    const again = make();
    await again.start();
    assert.equal(again.proofs(), [proof]);
    await again.stop();
  }));

test('votes that a stranger signed too push nothing out', () =>
  withWitness(async ({ make }) => {
    const witness = make();
    await witness.start();
    const strangers = Array.from({ length: 40 }, (_, i) => s.person(`stranger ${i}`));
    witness.hear([
      vote(0, x).bytes,
      ...strangers.map(one => vote(0, x, [honest, one]).bytes),
      vote(0, y).bytes,
    ]);
    assert.is(witness.proofs()[0]?.rule, 'voted-twice');
    await witness.stop();
  }));

test('what is kept is limited: eight of one signer, 64 of accounts, nothing of strangers; notaries find room', () =>
  withWitness(async ({ make }) => {
    const witness = make();
    await witness.start();
    for (let i = 0; i < 20; i++) {
      const change = { slot: `A/${alice.peer}/${i}` };
      witness.hear([vote(0, x, [carol], change).bytes, vote(0, y, [carol], change).bytes]);
      witness.sawOrders(change.slot, order(alice, i, 1n).bytes, order(alice, i, 2n).bytes);
    }
    assert.equal(new Set(witness.proofs().map(({ signer }) => signer)), new Set([alice.peer]));
    assert.is(witness.proofs().length, 8);
    for (let i = 0; i < 70; i++) {
      const one = s.person(`account ${i}`);
      witness.sawOrders(`A/${one.peer}/0`, order(one, 0, 1n).bytes, order(one, 0, 2n).bytes);
    }
    assert.is(witness.proofs().length, 64);
    for (let i = 0; i < 10; i++) {
      const change = { slot: `A/${alice.peer}/${i}` };
      witness.hear([vote(0, x, [liar], change).bytes, vote(0, y, [liar], change).bytes]);
    }
    assert.is(witness.proofs().filter(({ signer }) => signer === liar.peer).length, 8);
    await witness.stop();
  }));

test('an order under a number that came to nothing accuses nobody, and stops no notary', () =>
  withDatabase(async db => {
    const keys = [0, 1, 2, 3].map(i => s.person(`notary ${i}`));
    const genesis = s.makeGenesis({ notaries: keys.map(({ peer }) => peer) });
    const parts = { db, clock: s.manualClock(), logger: silentLogger, signer: keys[0]! };
    const network = { self: keys[0]!.peer, isConnected: () => false, call: async () => new Uint8Array() };
    const witness = createWitness(
      { ...parts, network, metrics: noMetrics },
      { notaries: () => keys.map(({ peer }) => peer) },
    );
    const notary = createNotary({ ...parts, witness }, { genesis });
    await notary.start();
    const skip = seal(skipKind, { net: genesis.net, account: alice.peer, seq: 0 });
    const decided = { net: genesis.net, epoch: 0, slot: slot.slot, ballot: 1, value: skip.digest };
    const certificate = seal(certificateKind, decided, ...keys.slice(1)).bytes;
    await notary.round!({ type: 'certify', decided: [{ certificate, value: skip.bytes }] }, alice.peer);
    const late = s.makeOrder(alice, 0, [{ op: 'transfer', to: bob.peer, amount: 1n }], { net: genesis.net });
    const answer = await notary.round!({ type: 'propose', epoch: 0, values: [late.bytes] }, alice.peer);
    assert.is(answer.type === 'round' && answer.outcomes[0]?.type, 'decided');
    const next = s.makeOrder(alice, 1, late.body.ops, { net: genesis.net });
    const voted = await notary.round!({ type: 'propose', epoch: 0, values: [next.bytes] }, alice.peer);
    assert.is(voted.type === 'round' && voted.outcomes[0]?.type, 'signed');
    assert.equal(witness.proofs(), []);
    await notary.stop();
  }));

test('four notaries, one with a second vote: no damage, and each of them keeps the proof; two orders: proof against their account', () =>
  withLedger(
    async ledger => {
      const [alice, bob] = [await ledger.add(), await ledger.add()];
      const notaries = ledger.nodes.slice(0, 4);
      const fourth = notaries[3]!;
      await granted(alice);
      const orders = [1n, 2n].map(amount =>
        s.makeOrder(alice.signer, 0, [{ op: 'transfer', to: bob.signer.peer, amount }], {
          net: ledger.info.net,
        }),
      );
      const [first, second] = orders as [(typeof orders)[0], (typeof orders)[0]];
      const voted = await Promise.all(
        notaries
          .slice(1)
          .map(({ notary }) =>
            notary!.round!({ type: 'propose', epoch: 0, values: [first.bytes] }, alice.signer.peer),
          ),
      );
      const votes = voted.map(answer => {
        const [outcome] = answer.type === 'round' ? answer.outcomes : [];
        assert.ok(outcome?.type === 'signed');
        return open(voteKind, outcome.signed);
      });
      const item = { qc: mergeSignatures(voteKind, votes).bytes, value: first.bytes };
      await notaries[0]!.notary!.round!({ type: 'commit', items: [item] }, alice.signer.peer);
      // Its other vote, that it gave to somebody else.
      const other = seal(voteKind, { ...votes[0]!.body, value: second.digest }, fourth.signer);
      alice.witness.tell([other.bytes]);
      const isKnown = () =>
        notaries.every(({ witness }) => witness.proofs().some(proof => proof.signer === fourth.signer.peer));
      await waitFor(isKnown, 'the proof to be everywhere');
      const [proof] = notaries[1]!.witness.proofs();
      assert.equal(checkContradiction(ledger.info.net, proof!.first, proof!.second).rule, 'voted-twice');

      // Alice's own doing: both orders come to the first notary.
      await notaries[0]!.notary!.round!(
        { type: 'propose', epoch: 0, values: [second.bytes] },
        alice.signer.peer,
      );
      const found = notaries[0]!.witness.proofs().find(({ signer }) => signer === alice.signer.peer);
      assert.is(found?.rule, 'ordered-twice');
      // The account stays usable: its next order goes on after whichever of the two is decided.
      await alice.wallet.transfer(bob.signer.peer, 5n);
      const bad = alice.network.call(
        fourth.signer.peer,
        'ledger',
        ledgerRequestMessage.encode({ type: 'witness', words: [item.value] }),
      );
      assert.is(await code(bad), 'RESOLVED', 'an order is no word of a notary, and is passed over');
    },
    { notaries: 4 },
  ));

test.run();
