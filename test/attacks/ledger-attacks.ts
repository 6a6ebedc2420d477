import { checkDecided, checkOrder, committeeOf } from '../../src/ledger/index.ts';
import {
  acceptKind,
  certificateKind,
  encodeCbor,
  grantKind,
  type LedgerOp,
  type Lock,
  ledgerOrderKind,
  MAX_AMOUNT,
  preAuthEncoding,
  type Signer,
  seal,
  voteKind,
} from '../../src/wire/index.ts';
import type { Setting } from '../ledger/one-notary.ts';
import * as s from '../ledger/support.ts';
import { forge } from '../wire/samples.ts';
import { crowdedSlot, fastClock, slowClock } from './ledger-clocks.ts';
import { hurryAtOne, parkedFlood } from './ledger-floods.ts';

/** A notary at work: Alice has 99 FLOP free, and 1 in an open escrow for Bob, by her order 0. */
export interface Target extends Setting {
  readonly escrow: { readonly escrowId: string; readonly lock: Lock };
}

/** A try at money that is not one's own, or not there. */
export interface LedgerAttack {
  readonly name: string;
  /** The code that every form of it is refused with; several where forms differ. */
  readonly by: readonly string[];
  /** Tried here, each form once, with the codes that came; or by a test of its own. */
  readonly how:
    | ((target: Target) => Promise<readonly unknown[]> | readonly unknown[])
    | { readonly file: string; readonly test: string };
}

const { admin, alice, bob, carol, FLOP, T0 } = s;
const abroad = s.makeGenesis({ name: 'abroad' });
const order = (...ops: LedgerOp[]) => s.makeOrder(alice, 1, ops);
const send = (amount: bigint): LedgerOp => ({ op: 'transfer', to: carol.peer, amount });
const another = ({ escrow }: Target) => ({ ...escrow, escrowId: 'ab'.repeat(32) });
const DAY_MS = 86_400_000;

/** An order of hers with any body, past the checks of `seal`. */
const forged = (body: unknown, changes: Parameters<typeof forge>[2] = {}) => ({
  bytes: forge({ kind: ledgerOrderKind, body: {}, signers: [alice] }, body, changes),
});
const moving = (amount: unknown) =>
  [send(1n), s.makeLock()].map(op =>
    forged({ net: s.genesis.net, account: alice.peer, seq: 1, ops: [{ ...op, amount }] }),
  );

/** The bytes of an amount of 1.5 as another float64. */
function floating(hex: string) {
  const body = Buffer.from(
    encodeCbor({ net: s.genesis.net, account: alice.peer, seq: 1, ops: [{ ...send(1n), amount: 1.5 }] }),
  );
  body.write(hex, body.indexOf('fb3ff8000000000000', 'hex') + 1, 'hex');
  return forged(null, { body });
}

/** Her signature for one kind of statement under another. */
function mistyped(target: Target) {
  const accept = s.accept(target.escrow, alice);
  const type = `application/vnd.duxnode.${ledgerOrderKind.name}.v1+dag-cbor`;
  const sig = alice.sign(
    preAuthEncoding(`application/vnd.duxnode.${acceptKind.name}.v1+dag-cbor`, accept.bodyBytes),
  );
  return forged(null, { type, body: accept.bodyBytes, signatures: [{ key: alice.peer, sig }] });
}

function flipped(bytes: Uint8Array): { bytes: Uint8Array } {
  const copy = Uint8Array.from(bytes);
  copy[copy.length - 1]! ^= 1;
  return { bytes: copy };
}

const notaries = [0, 1, 2, 3].map(i => s.person(`notary ${i}`)) as [Signer, Signer, Signer, Signer];
const four = s.makeGenesis({ notaries: notaries.map(({ peer }) => peer) });

/** What a certificate of an order in a network of four notaries is refused with. */
function certified(signers: readonly Signer[], changes: object = {}): string | null {
  const value = s.makeOrder(alice, 0, [send(1n)], { net: four.net });
  const body = { net: four.net, epoch: 0, slot: `A/${alice.peer}/0`, ballot: 0, value: value.digest };
  const { bytes: certificate } = seal(certificateKind, { ...body, ...changes }, ...signers);
  return s.thrownCode(() => checkDecided({ certificate, value: value.bytes }, committeeOf(four)));
}

/** The votes of a quorum, where their certificate should be: the same body under another type. */
function votesFor(): string | null {
  const value = s.makeOrder(alice, 0, [send(1n)], { net: four.net });
  const body = { net: four.net, epoch: 0, slot: `A/${alice.peer}/0`, ballot: 0, value: value.digest };
  const { bytes: certificate } = seal(voteKind, body, ...three);
  return s.thrownCode(() => checkDecided({ certificate, value: value.bytes }, committeeOf(four)));
}

const least = s.makeGenesis({ minAmount: 10n });
const small = (op: LedgerOp) =>
  s.thrownCode(() =>
    checkOrder(s.makeOrder(alice, 1, [send(10n), { ...op, amount: 9n }], { net: least.net }), least),
  );

const three = notaries.slice(0, 3);
const powerTest = 'test/ledger/power.test.ts';
const marketTest = 'test/market/funds.test.ts';
const committeeTest = 'test/ledger/committee.test.ts';
const _powerTest = 'test/ledger/power.test.ts';

/** In the order of the table in docs/ledger.md. */
export const ledgerAttacks: readonly LedgerAttack[] = [
  {
    name: 'a second order under a number that is decided: another lock, another payee',
    by: ['SLOT_DECIDED'],
    how: ({ submit }) =>
      submit(
        s.makeOrder(alice, 0, [s.makeLock({ amount: 2n })]),
        s.makeOrder(alice, 0, [s.makeLock({ worker: carol.peer })]),
        s.makeOrder(alice, 0, [send(1n)]),
      ),
  },
  {
    name: 'two orders under one number at different notaries, at once',
    by: ['SLOT_VOTED'],
    how: {
      file: committeeTest,
      test: 'conflicting orders at different notaries: recovery decides one of them, and the account goes on',
    },
  },
  {
    name: 'an order out of its turn',
    by: ['ORDER_SEQ'],
    how: ({ submit }) => submit(s.makeOrder(alice, 2, [send(1n)]), s.makeOrder(alice, 999, [send(1n)])),
  },
  {
    name: 'more than there is: at once, in sum, the same money in two orders',
    by: ['FUNDS_INSUFFICIENT'],
    how: async ({ submit }) => {
      const refused = await submit(
        order(send(100n * FLOP)),
        order(send(MAX_AMOUNT), send(MAX_AMOUNT)),
        order(send(60n * FLOP), s.makeLock({ amount: 40n * FLOP })),
      );
      const both = await submit(order(send(99n * FLOP)), s.makeOrder(alice, 2, [send(1n)]));
      return [...refused, both[1]];
    },
  },
  {
    name: 'amounts of 0, below 0, above 2^63 - 1, fractions, text',
    by: ['WIRE_SCHEMA'],
    how: ({ submit }) =>
      submit(
        ...[0, -1, -(2n ** 63n), 2n ** 63n, 2n ** 64n - 1n, 1.5, '1', '1e3', true, null].flatMap(moving),
      ),
  },
  {
    name: 'NaN, infinities, minus zero, whole numbers as floats',
    by: ['WIRE_MALFORMED', 'WIRE_NOT_CANONICAL'],
    how: ({ submit }) =>
      submit(
        ...['7ff8000000000000', '7ff0000000000000', 'fff0000000000000'].map(floating),
        ...['8000000000000000', '3ff0000000000000'].map(floating),
      ),
  },
  {
    name: 'an order of another’s account',
    by: ['STATEMENT_SIGNER'],
    how: ({ submit }) =>
      submit(
        s.makeOrder(bob, 1, [send(1n)], { account: alice.peer }),
        seal(
          ledgerOrderKind,
          { net: s.genesis.net, account: alice.peer, seq: 1, ops: [send(1n)] },
          alice,
          bob,
        ),
      ),
  },
  {
    name: 'a grant that its admin did not sign, or not so',
    by: ['STATEMENT_SIGNER', 'GRANT_TERMS'],
    how: ({ submit }) => {
      const body = {
        net: s.genesis.net,
        invite: 'open',
        use: bob.peer,
        account: bob.peer,
        amount: 10n * FLOP,
      };
      return submit(
        seal(grantKind, body, bob),
        seal(grantKind, { ...body, amount: 11n * FLOP }, admin),
        seal(grantKind, { ...body, use: 'again' }, admin),
      );
    },
  },
  {
    name: 'a lock whose payer is its worker, or whose judge is a party or named twice',
    by: ['LOCK_TERMS'],
    how: ({ submit }) =>
      submit(
        ...[
          { worker: alice.peer },
          { arbiters: [bob.peer], arbiterQuorum: 1 },
          { arbiters: [carol.peer, carol.peer], arbiterQuorum: 1 },
          { verifiers: [alice.peer], verifierQuorum: 1 },
          { verifiers: [carol.peer], verifierQuorum: 0 },
        ].map(terms => order(s.makeLock(terms))),
      ),
  },
  {
    name: 'a forged signature; one signer for two',
    by: ['WIRE_SIGNATURE'],
    how: ({ submit, escrow }) =>
      submit(
        flipped(order(send(1n)).bytes),
        flipped(s.accept(escrow, alice).bytes),
        s.mutual(escrow, FLOP, bob, bob),
      ),
  },
  {
    name: 'an escrow’s step by who may not sign it: a stranger, the other party, one of both',
    by: ['ESCROW_SIGNERS'],
    how: ({ submit, escrow }) =>
      submit(
        s.accept(escrow, bob),
        s.accept(escrow, carol),
        s.cancel(escrow, alice),
        s.attest(escrow, carol),
        s.mutual(escrow, FLOP, bob),
        s.mutual(escrow, FLOP, alice, bob, carol),
      ),
  },
  {
    name: 'a split of more than is locked',
    by: ['ESCROW_AMOUNT'],
    how: ({ submit, escrow }) => submit(s.mutual(escrow, FLOP + 1n, alice, bob)),
  },
  {
    name: 'replay: a statement of another network',
    by: ['STATEMENT_NETWORK', 'ESCROW_MISMATCH'],
    how: ({ submit, escrow }) => {
      const { net } = abroad;
      return submit(
        s.makeOrder(alice, 1, [send(1n)], { net }),
        s.accept(escrow, alice, { net }),
        s.cancel({ ...escrow, net }, bob),
        s.attest(escrow, bob, { net }),
      );
    },
  },
  {
    name: 'replay: the acceptance or result of another task, attempt or worker',
    by: ['ESCROW_MISMATCH'],
    how: ({ submit, escrow }) =>
      submit(
        s.accept(escrow, alice, s.taskRefOf('another task')),
        s.accept(escrow, alice, { attempt: 2 }),
        s.attest(escrow, bob, s.taskRefOf('another task')),
        s.attest(escrow, bob, { replica: 1 }),
        s.attest(escrow, bob, { worker: carol.peer }),
      ),
  },
  {
    name: 'replay: the evidence of another escrow, or of unpaid work',
    by: ['ESCROW_UNKNOWN'],
    how: target =>
      target.submit(
        s.accept(another(target), alice),
        s.cancel(another(target), bob),
        s.attest(target.escrow, bob, { escrowId: null }),
        s.accept(target.escrow, alice, { escrowId: null }),
      ),
  },
  {
    name: 'replay: one kind of statement as another; what the ledger does not take',
    by: ['WIRE_SIGNATURE', 'STATEMENT_KIND'],
    how: target => {
      const slot = { net: s.genesis.net, epoch: 0, slot: `A/${alice.peer}/1`, ballot: 0 };
      const value = order(send(1n)).digest;
      return target.submit(mistyped(target), seal(certificateKind, { ...slot, value }, admin));
    },
  },
  {
    name: 'bytes that are not the one encoding: padded, cut, empty, keys out of order',
    by: ['STATEMENT_KIND', 'WIRE_MALFORMED', 'WIRE_NOT_CANONICAL'],
    how: ({ submit }) => {
      const { bytes, bodyBytes } = order(send(1n));
      // A map of two pairs, the longer key first.
      const unordered = Buffer.from('a262626201616100', 'hex');
      return submit(
        { bytes: Uint8Array.of(...bytes, 0) },
        { bytes: bytes.subarray(0, -1) },
        { bytes: new Uint8Array(0) },
        forged(null, { body: Uint8Array.of(...bodyBytes, 0) }),
        forged(null, { body: unordered }),
      );
    },
  },
  {
    name: 'a second end of an escrow: refund after payment, payment after refund',
    by: ['SLOT_DECIDED'],
    how: async ({ submit, escrow, clock }) => {
      await submit(s.accept(escrow, alice));
      clock.advance(DAY_MS);
      return submit(s.cancel(escrow, bob), s.timeout(escrow, 'refund'), s.mutual(escrow, 0n, alice, bob));
    },
  },
  {
    name: 'a claim or dispute too late',
    by: ['ESCROW_LATE'],
    how: async ({ submit, escrow, clock }) => {
      clock.set(escrow.lock.claimBy + 1);
      const [claim] = await submit(s.attest(escrow, bob));
      clock.set(T0);
      return [claim];
    },
  },
  {
    name: 'the money back before its time: a client’s fast clock counts for nothing',
    by: ['ESCROW_EARLY'],
    how: ({ submit, escrow }) => submit(s.timeout(escrow, 'refund')),
  },
  {
    name: 'a notary’s clock that steps back, with a restart between',
    by: ['ESCROW_LATE'],
    how: async target => {
      const { clock, escrow } = target;
      clock.set(escrow.lock.claimBy + 1);
      await target.submit(order(send(1n)));
      clock.set(T0);
      const before = await target.submit(s.attest(escrow, bob));
      await target.restart();
      return [...before, ...(await target.submit(s.attest(escrow, bob)))];
    },
  },
  {
    name: 'a time-out that one notary’s fast clock calls due: the other three give it no vote',
    by: ['ESCROW_EARLY'],
    how: fastClock,
  },
  {
    name: 'a claim too late that one notary’s slow clock calls timely, and a refund on that one’s report',
    by: ['ESCROW_LATE', 'SLOT_UNDECIDABLE'],
    how: slowClock,
  },
  {
    name: 'certificates: a signature too few, a stranger’s, another network’s, epoch’s, slot’s or statement’s',
    by: ['CERTIFICATE_INVALID'],
    how: () => [
      certified(notaries.slice(0, 2)),
      certified([...notaries.slice(0, 2), bob]),
      certified(three, { net: s.genesis.net }),
      certified(three, { epoch: 1 }),
      certified(three, { slot: `A/${alice.peer}/1` }),
      certified(three, { slot: `A/${bob.peer}/0` }),
      certified(three, { value: new Uint8Array(32) }),
    ],
  },
  {
    name: 'certificates: one notary twice',
    by: ['WIRE_SIGNATURE'],
    how: () => [certified([notaries[0], notaries[0], notaries[1]])],
  },
  {
    name: 'certificates: the votes of a quorum in the place of one',
    by: ['WIRE_SCHEMA'],
    how: () => [votesFor()],
  },
  {
    name: 'one notary of four away, then two',
    by: ['LEDGER_UNREACHABLE'],
    how: {
      file: committeeTest,
      test: 'one notary away: work goes on; two away: it waits, and goes on when one is back',
    },
  },
  {
    name: 'power fails after the sync and before the answer',
    by: ['SLOT_VOTED'],
    how: {
      file: powerTest,
      test: 'power fails after the sync and before the answer: what was to be said is said, and nothing else',
    },
  },
  {
    name: 'power fails before the sync: a torn log',
    by: ['SLOT_VOTED'],
    how: {
      file: powerTest,
      test: 'power fails before the sync: a torn log opens, all or nothing of the last write is there, what was answered holds',
    },
  },
  {
    name: 'a notary whose database is gone, or an old copy',
    by: ['LEDGER_LOST'],
    how: {
      file: powerTest,
      test: 'a notary that comes back with an old database knows its own signature for another’s, and signs nothing more',
    },
  },
  {
    name: 'spam: a lock or a transfer of less than the network moves',
    by: ['AMOUNT_SMALL'],
    how: () => [small(send(1n)), small(s.makeLock())],
  },
  {
    name: 'spam: more operations of one account than its rate; a stranger’s replay of its old orders takes nothing from it',
    by: ['ACCOUNT_RATE'],
    how: async ({ submit, clock }) => {
      // 100 seconds of its rate are saved up: 35 are left after the lock and the first of these.
      const [first, second] = [1, 2].map(seq => s.makeOrder(alice, seq, Array(64).fill(send(1n))));
      await submit(first!);
      const codes = await submit(second!, second!, s.makeOrder(alice, 2, [send(1n)]));
      await submit(...Array(100).fill(first!));
      const also = await submit(s.makeOrder(alice, 3, Array(34).fill(send(1n))));
      clock.advance(64_000);
      const later = await submit(s.makeOrder(alice, 4, Array(64).fill(send(1n))));
      return [...codes, ...also, ...later, ...(await hurryAtOne())].filter(code => code !== 'ok');
    },
  },
  {
    name: 'spam: more statements at once than a notary has room for',
    by: ['QUEUE_FULL'],
    how: async ({ submit }) =>
      (await submit(...Array(4_100).fill(order(send(1n))))).filter(code => code !== 'ok'),
  },
  {
    name: 'spam: five orders under one number at a notary of several, which remembers four',
    by: ['SLOT_VOTED', 'SLOT_CROWDED'],
    how: crowdedSlot,
  },
  {
    name: 'spam: more certified decisions than may wait for one that is missing',
    by: ['PARKED_FULL'],
    how: parkedFlood,
  },
  {
    name: 'spam: more requests than a peer may send',
    by: ['RATE_LIMITED'],
    how: {
      file: 'test/network/call-suite.ts',
      test: 'haste is refused with RATE_LIMITED and costs a little score',
    },
  },
  {
    name: 'paid offers without funds: no proof, too little, too old, of another account, of notaries that are none',
    by: ['NO_FUNDS_PROOF', 'FUNDS'],
    how: {
      file: marketTest,
      test: 'a paid offer needs a proof of funds that notaries signed for its requester, lately',
    },
  },
  {
    name: 'work without its lock: another amount, terms, time or attempt, another payer, forged',
    by: ['LOCK_DIFFERS', 'LOCK_NOT_FOUND', 'CERTIFICATE_INVALID'],
    how: {
      file: marketTest,
      test: 'a worker starts on nothing but the certified lock of the terms that it signed',
    },
  },
];
