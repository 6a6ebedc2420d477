import type { Committee, LedgerEscrow } from '../../src/ledger/index.ts';
import { committeeOf, committeeWith } from '../../src/ledger/index.ts';
import { purseOf } from '../../src/ledger/invites.ts';
import { kindOf, type Stated, stated } from '../../src/ledger/statement.ts';
import {
  escrowIdOf,
  type GenesisInfo,
  inviteKind,
  type LedgerOp,
  type Lock,
  redeemKind,
  removalKind,
  revokeKind,
  type Signer,
  seal,
} from '../../src/wire/index.ts';
import * as s from './support.ts';

const { alice, bob, carol, admin, T0 } = s;
export const notaryKeys: readonly Signer[] = Array.from({ length: 7 }, (_, i) => s.person(`notary ${i}`));
export const newcomers: readonly Signer[] = [carol, ...['dora', 'emil'].map(s.person)];
const inviteKey = s.person('an invite');
const [arbiter, verifier1, verifier2] = ['arbiter', 'verifier 1', 'verifier 2'].map(s.person) as Signer[];

/** Milliseconds after T0. */
export const CLAIM_BY = 60_000;
export const LAST = 180_000;

export interface World {
  readonly info: GenesisInfo;
  readonly committee: Committee;
  /** Of each epoch: n, then one more with two newcomers, then n again. */
  readonly committees: readonly Committee[];
  /** Of all epochs. */
  readonly keys: readonly Signer[];
  /** Everything that anybody signed, by what a schedule may leave out together. */
  readonly values: readonly Stated[];
  /** Those, and what schedules found to follow from reports. */
  readonly byDigest: Map<string, Stated>;
}

export function makeGenesis(n: number): GenesisInfo {
  return s.makeGenesis({
    notaries: notaryKeys.slice(0, n).map(({ peer }) => peer),
    allocations: [
      { account: alice.peer, amount: 100n },
      { account: bob.peer, amount: 10n },
      { account: carol.peer, amount: 5n },
    ],
    membership: 'invited',
    openGrant: 0n,
  });
}

/** One invite of two uses: more who want each than there are, its end at every number, and removals; some by the wrong one. */
function membership({ net }: GenesisInfo): { readonly bytes: Uint8Array }[] {
  const id = inviteKey.peer;
  const terms = { net, id, grant: 3n, uses: 2, expires: T0 + 10 * LAST };
  const invite = seal(inviteKind, terms, admin).bytes;
  const redeem = (use: number, account: Signer, key = inviteKey) =>
    seal(redeemKind, { net, invite, use, account: account.peer }, account, key);
  const revoke = (use: number, amount: bigint, signer = admin) =>
    seal(revokeKind, { net, invite: id, use, amount }, signer);
  const removal = (use: number, account: Signer, signer = admin) =>
    seal(removalKind, { net, invite: id, use, account: account.peer }, signer);
  return [
    ...newcomers.flatMap(account => [0, 1, 2].map(use => redeem(use, account))),
    redeem(0, bob, carol),
    revoke(0, 6n),
    revoke(1, 3n),
    revoke(2, 0n),
    revoke(1, 0n, alice),
    ...newcomers.map(account => removal(0, account)),
    removal(1, newcomers[0]!),
    removal(1, newcomers[1]!, bob),
  ];
}

/** Conflicting orders of every account, more than its balance in sum, and for each lock every evidence there is, right and wrong. */
export function makeWorld(n: number, { quorumChange = 0, handovers = false } = {}): World {
  const info = makeGenesis(n);
  const { net } = info;
  const changed = (committee: Committee) => ({ ...committee, quorum: committee.quorum + quorumChange });
  const committee = changed(committeeOf(info));
  const peers = notaryKeys.map(({ peer }) => peer);
  const committees = [committee];
  if (handovers)
    for (const keys of [peers.slice(1, n + 2), peers.slice(2, n + 2)])
      committees.push(changed(committeeWith(keys, committees.at(-1)!)));
  const order = (signer: Signer, seq: number, ...ops: LedgerOp[]) => s.makeOrder(signer, seq, ops, { net });
  const pay = (to: Signer, amount: bigint): LedgerOp => ({ op: 'transfer', to: to.peer, amount });
  const lock = (task: string, amount: bigint): Lock =>
    s.makeLock({
      ...s.taskRefOf(task),
      amount,
      verifiers: [verifier1!.peer, verifier2!.peer],
      verifierQuorum: 2,
      arbiters: [arbiter!.peer],
      arbiterQuorum: 1,
    });
  const orders = [
    order(alice, 0, lock('t1', 60n)),
    order(alice, 0, pay(carol, 80n)),
    order(alice, 0, lock('t2', 55n)),
    order(alice, 1, lock('t3', 40n)),
    order(alice, 1, pay(bob, 40n)),
    order(alice, 1, pay(carol, 41n)),
    order(bob, 0, pay(carol, 65n)),
    order(bob, 0, pay(alice, 10n)),
    order(carol, 0, pay(alice, 5n)),
    order(carol, 0, pay(alice, 70n)),
    order(alice, 1, { op: 'transfer', to: purseOf(inviteKey.peer), amount: 8n }),
    order(bob, 0, { op: 'transfer', to: purseOf(inviteKey.peer), amount: 6n }),
  ];
  const escrows = orders.flatMap(opened => {
    const [op] = opened.body.ops;
    return op?.op === 'lock' ? [{ escrowId: escrowIdOf(opened, 0), lock: op, net }] : [];
  });
  const evidence = escrows.flatMap(target => {
    const attestation = s.attest(target, bob, { net });
    return [
      attestation,
      s.attest(target, bob, { net, exitCode: 1 }),
      s.accept(target, alice, { net }),
      s.cancel(target, bob),
      s.mutual(target, 7n, alice, bob),
      s.dispute(target, alice),
      s.verified(target, attestation, [verifier1!, verifier2!]),
      s.verdict(target, 20n, arbiter!),
      s.timeout(target, 'refund'),
      s.timeout(target, 'claim'),
      s.timeout(target, 'arbitration'),
      // Signed by the wrong one, for another escrow, for more than there is.
      s.accept(target, bob, { net }),
      s.attest({ ...target, escrowId: 'ab'.repeat(32) }, bob, { net }),
      s.verdict(target, 9_999n, arbiter!),
      s.dispute(target, carol),
    ];
  });
  const values = [...orders, ...evidence, ...membership(info)].map(({ bytes }) => stated(bytes));
  return {
    info,
    committee,
    committees,
    keys: notaryKeys.slice(0, handovers ? n + 2 : n),
    values,
    // The first of a digest is the right one, a forged envelope of the same body comes later.
    byDigest: new Map([...values].reverse().map(value => [value.digest, value])),
  };
}

/** What ends an escrow must pay what it says. */
export function isSoundEnd({ state, pay, lock }: LedgerEscrow): boolean {
  if (state === 'PAID') return pay === lock.amount;
  if (state === 'REFUNDED') return pay === 0n;
  return pay >= 0n && pay <= lock.amount;
}

export const isTimeout = ({ statement }: Stated): boolean => kindOf(statement) === 'timeout';
export { admin, T0 };
