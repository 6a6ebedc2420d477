import type { SignedReport } from '../../src/ledger/reports.ts';
import { coordinatorOf } from '../../src/ledger/slot.ts';
import { type Stated, stated } from '../../src/ledger/statement.ts';
import { escrowIdOf } from '../../src/wire/index.ts';
import { SimNotary } from '../ledger/sim-notary.ts';
import { CLAIM_BY, makeWorld } from '../ledger/sim-world.ts';
import * as s from '../ledger/support.ts';

const { alice, bob } = s;
const world = makeWorld(4);
const { committee, keys } = world;
const { net } = world.info;
const order = s.makeOrder(alice, 0, [s.makeLock({ amount: 60n })], { net });
const escrow = { escrowId: escrowIdOf(order, 0), lock: s.makeLock({ amount: 60n }), net };
const slot = `E/${escrow.escrowId}/0`;
const claim = stated(s.attest(escrow, bob, { net }).bytes);
const refund = stated(s.timeout(escrow, 'refund').bytes);
/** Past the claim's time and its grace. */
const LATE = CLAIM_BY + 10_000;

/** Four notaries that know of a lock that can be claimed until `CLAIM_BY`, the first with a clock of its own. */
function notaries(first: number, others: number): SimNotary[] {
  const value = stated(order.bytes);
  const body = { net, epoch: 0, slot: `A/${alice.peer}/0`, ballot: 0, value: order.digest };
  const certificate = { body, signers: keys.map(({ peer }) => peer), digest: new Uint8Array() };
  return keys.map((_, i) => {
    const notary = new SimNotary(i, world, () => (i === 0 ? first : others));
    notary.certify(certificate, value, committee);
    return notary;
  });
}

const proposed = (notary: SimNotary, value: Stated) => s.thrownCode(() => notary.propose(value));

/** A fast clock calls the refund due: what the other three say to it. */
export function fastClock(): (string | null)[] {
  const [fast, ...others] = notaries(LATE, 0);
  if (proposed(fast!, refund) !== null) return ['the fast one does not vote'];
  return others.map(notary => proposed(notary, refund));
}

/** A slow clock calls a late claim timely, and its report holds the refund up; the three others alone bring it. */
export function slowClock(): (string | null)[] {
  const all = notaries(0, LATE);
  const [slow, ...others] = all;
  if (proposed(slow!, claim) !== null) return ['the slow one does not vote'];
  const refused = others.map(notary => proposed(notary, claim));
  const reports = all.map((notary, i): SignedReport => {
    const intent = notary.recover(slot, 1, 1_000);
    if (intent.type !== 'report') throw new Error(`${intent.type} is no report`);
    return { report: { body: intent.body, signers: [keys[i]!.peer], digest: new Uint8Array() }, qc: null };
  });
  const coordinator = all[keys.findIndex(({ peer }) => peer === coordinatorOf(slot, 1, committee))]!;
  const chosen = (shown: SignedReport[]) =>
    s.thrownCode(() => coordinator.coordinate(slot, 1, shown, [claim]));
  const held = chosen(reports.slice(0, 3));
  if (chosen(reports.slice(1)) !== null) return ['the others bring no refund'];
  return [...refused, held];
}

/** Five orders under one number: the first has the vote, and no more than four are remembered. */
export function crowdedSlot(): (string | null)[] {
  const notary = new SimNotary(0, world, () => 0);
  const orders = [1n, 2n, 3n, 4n, 5n].map(amount =>
    stated(s.makeOrder(alice, 0, [{ op: 'transfer', to: bob.peer, amount }], { net }).bytes),
  );
  const codes = orders.map(value => proposed(notary, value));
  if (notary.ballot(`A/${alice.peer}/0`).known.length !== 4) return ['not four are remembered'];
  return codes.filter(code => code !== null);
}
