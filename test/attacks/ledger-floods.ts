import { AccountRates, createLedgerDesk, createNotary, type LedgerDesk } from '../../src/ledger/index.ts';
import { silentLogger } from '../../src/util/index.ts';
import { certificateKind, MAX_SUBMIT, type RoundOutcome, seal } from '../../src/wire/index.ts';
import { open as openDb, withTempDir } from '../db/temp-dir.ts';
import * as s from '../ledger/support.ts';

const { alice, bob } = s;
const notaries = [0, 1, 2, 3].map(i => s.person(`flood ${i}`));
const genesis = s.makeGenesis({ notaries: notaries.map(({ peer }) => peer) });

/** Order `seq` of hers, decided by three of the four notaries. */
function decided(seq: number) {
  const op = { op: 'transfer' as const, to: bob.peer, amount: 1n };
  const order = s.makeOrder(alice, seq, [op], { net: genesis.net });
  const body = { net: genesis.net, epoch: 0, slot: `A/${alice.peer}/${seq}`, ballot: 0, value: order.digest };
  return { certificate: seal(certificateKind, body, ...notaries.slice(1)).bytes, value: order.bytes };
}

type Desk = (request: Parameters<LedgerDesk>[0]) => Promise<RoundOutcome[]>;

/** The first of four notaries, over a database of its own. */
async function withOne(fn: (desk: Desk) => Promise<void>): Promise<void> {
  await withTempDir(async dir => {
    const clock = s.manualClock();
    const db = await openDb(dir);
    const parts = {
      db,
      clock,
      logger: silentLogger,
      signer: notaries[0]!,
      rates: new AccountRates(clock, 1),
    };
    const notary = createNotary(parts, { genesis });
    const desk = createLedgerDesk(notary);
    try {
      await notary.start();
      await fn(async request => {
        const answer = await desk(request, alice.peer);
        return answer.type === 'round' ? answer.outcomes : [];
      });
    } finally {
      await notary.stop();
      await db.close();
    }
  });
}

const codesOf = (outcomes: readonly RoundOutcome[]) =>
  outcomes.flatMap(outcome => (outcome.type === 'refused' ? [outcome.code] : []));

/** All that follows order 0 of an account, but not that order, told to a notary: what it says to those that it has no room for. */
export async function parkedFlood(): Promise<string[]> {
  let codes: string[] = [];
  await withOne(async desk => {
    const tell = (from: number, count: number) =>
      desk({ type: 'certify', decided: Array.from({ length: count }, (_, i) => decided(from + i)) });
    const waiting = await tell(1, MAX_SUBMIT);
    if (!waiting.every(outcome => outcome.type === 'taken' && outcome.parked)) throw new Error('none wait');
    codes = codesOf(await tell(1 + MAX_SUBMIT, 3));
    // The missing one lets all of them in, and makes room.
    await tell(0, 1);
    const [next] = await tell(1 + MAX_SUBMIT, 1);
    if (next?.type !== 'taken') throw new Error('there is no room again');
  });
  return codes;
}

/** Orders of 64 operations at one of several notaries, which lets 100 pass at once: a second is too much, the first one again is not. */
export async function hurryAtOne(): Promise<string[]> {
  let codes: string[] = [];
  await withOne(async desk => {
    const [first, second] = [1n, 2n].map(amount => {
      const ops = Array.from({ length: 64 }, () => ({ op: 'transfer' as const, to: bob.peer, amount }));
      return s.makeOrder(alice, 0, ops, { net: genesis.net }).bytes;
    }) as [Uint8Array, Uint8Array];
    const [vote] = await desk({ type: 'propose', epoch: 0, values: [first] });
    codes = codesOf(await desk({ type: 'propose', epoch: 0, values: [second] }));
    const [again] = await desk({ type: 'propose', epoch: 0, values: [first] });
    if (vote?.type !== 'signed' || again?.type !== 'signed') throw new Error('the first one has no vote');
  });
  return codes;
}
