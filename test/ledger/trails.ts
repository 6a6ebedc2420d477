import { committeeOf, type TrailPart, TrailReplay } from '../../src/ledger/index.ts';
import { escrowSlot, grantSlot, orderSlot } from '../../src/ledger/statement.ts';
import {
  certificateKind,
  type Decided,
  escrowIdOf,
  type GenesisInfo,
  grantKind,
  type Lock,
  type Opened,
  type Signer,
  seal,
  trailEndKind,
} from '../../src/wire/index.ts';
import * as s from './support.ts';

export const notaries = ['n1', 'n2', 'n3', 'n4'].map(s.person);
/** Four notaries: three sign what is decided. */
export const info: GenesisInfo = s.makeGenesis({ notaries: notaries.map(({ peer }) => peer) });
export const committee = committeeOf(info);
const { net } = info;

export function certify(
  slot: string,
  statement: Opened<unknown>,
  { signers = notaries.slice(1), epoch = 0 }: { signers?: Signer[]; epoch?: number } = {},
): Decided {
  const body = { net, epoch, slot, ballot: 0, value: statement.digest };
  return { certificate: seal(certificateKind, body, ...signers).bytes, value: statement.bytes };
}

export function order(
  signer: Signer,
  seq: number,
  ops: Parameters<typeof s.makeOrder>[2],
  options: Parameters<typeof certify>[2] = {},
): { decided: Decided; locks: { escrowId: string; lock: Lock }[] } {
  const made = s.makeOrder(signer, seq, ops, { net });
  const locks = ops.flatMap((op, index) =>
    op.op === 'lock' ? [{ escrowId: escrowIdOf(made, index), lock: op }] : [],
  );
  return { decided: certify(orderSlot(signer.peer, seq), made, options), locks };
}

export function grant(to: string, amount: bigint, use: string): Decided {
  const body = { net, invite: 'invite', use, account: to, amount };
  return certify(grantSlot(body), seal(grantKind, body, s.admin));
}

export const closing = (escrowId: string, number: number, evidence: Opened<unknown>): Decided =>
  certify(escrowSlot(escrowId, number), evidence);

/** Alice: gets money, sends some, pays one task, has one given back, splits one, and has one open. */
export function story(): Decided[] {
  const lockOf = (name: string, amount: bigint) => s.makeLock({ ...s.taskRefOf(name), amount });
  const first = order(s.alice, 0, [
    lockOf('paid', 3n * s.FLOP),
    lockOf('back', 5n * s.FLOP),
    { op: 'transfer', to: s.carol.peer, amount: 7n },
  ]);
  const second = order(s.alice, 1, [lockOf('split', 4n * s.FLOP), lockOf('open', s.FLOP)]);
  const [paid, back] = first.locks.map(lock => ({ ...lock, net }));
  const [split] = second.locks.map(lock => ({ ...lock, net }));
  const income = order(s.bob, 0, [{ op: 'transfer', to: s.alice.peer, amount: 11n }]);
  return [
    first.decided,
    closing(paid!.escrowId, 0, s.accept(paid!, s.alice, { net })),
    grant(s.alice.peer, 2n * s.FLOP, 'alice'),
    second.decided,
    closing(back!.escrowId, 0, s.cancel(back!, s.bob)),
    closing(split!.escrowId, 0, s.attest(split!, s.bob, { net })),
    closing(split!.escrowId, 1, s.mutual(split!, s.FLOP, s.alice, s.bob)),
    income.decided,
  ];
}

/** What a wallet hands out, of these statements in this order. */
export async function* partsOf(
  entries: readonly Decided[],
  signer: Signer = s.alice,
  changes: object = {},
): AsyncGenerator<TrailPart> {
  const replay = new TrailReplay(info, signer.peer);
  yield { type: 'opening', account: signer.peer, genesis: info.bytes, lines: replay.opening };
  for (const decided of entries) yield { type: 'entry', ...replay.take(decided) };
  const end = { net, account: signer.peer, at: s.T0, ...replay.sums, ...changes };
  yield { type: 'end', bytes: seal(trailEndKind, end, signer).bytes };
}
