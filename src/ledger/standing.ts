import { LRUCache } from 'lru-cache';
import { CodedError } from '../util/index.ts';
import {
  certificateKind,
  type Decided,
  type GenesisInfo,
  type LedgerAnswer,
  MAX_STANDING,
  type Standing,
  seal,
  standingKind,
} from '../wire/index.ts';
import { EMPTY_ACCOUNT } from './accounts.ts';
import { MAX_SKEW_MS } from './checkpoints.ts';
import { partiesOf } from './decide.ts';
import { holdsMoney } from './escrow-lock.ts';
import type { Notary } from './notary.ts';
import { META_KEY } from './notary-store.ts';
import { standingSlot } from './statement.ts';

/** Looks at all escrows for each account in this time. */
const MAX_ASKS = 5;
const ASK_MS = 60_000;
const MAX_ASKERS = 1024;

export type StandingErrorType =
  | { code: 'STANDING_FOREIGN'; account: string }
  | { code: 'RATE_LIMITED'; account: string }
  | { code: 'NOTARIES_BEHIND'; reason: string };

function refuse(type: StandingErrorType, message: string): never {
  throw new CodedError(type, message);
}

/** Answers an account that has lost the beginning of its trail, or that it was removed from here before it was read. */
export class StandingDesk {
  readonly #notary: Notary;
  readonly #asked = new LRUCache<string, number>({ max: MAX_ASKERS, ttl: ASK_MS, noUpdateTTL: true });

  constructor(notary: Notary) {
    this.#notary = notary;
  }

  /** @throws CodedError `STANDING_FOREIGN`, `RATE_LIMITED`, `NOTARIES_BEHIND`: the last two pass. */
  async answer({ account, at }: { account: string; at: number }, from: string): Promise<LedgerAnswer> {
    const { signer, committee } = this.#notary;
    const asked = this.#asked.get(account) ?? 0;
    if (from !== account)
      refuse({ code: 'STANDING_FOREIGN', account }, 'an account’s standing is for its owner alone');
    if (asked >= MAX_ASKS)
      refuse(
        { code: 'RATE_LIMITED', account },
        'the standing was asked for too often: ask again in a minute',
      );
    if (Math.abs(this.#notary.now() - at) > MAX_SKEW_MS)
      refuse(
        { code: 'NOTARIES_BEHIND', reason: 'time' },
        'the clocks are too far apart: set them, and ask again',
      );
    this.#asked.set(account, asked + 1);
    const { standing, next } = await readStanding(this.#notary, account, at);
    const { net } = committee.info;
    const { bytes, digest } = seal(standingKind, standing);
    const body = { net, epoch: committee.epoch, slot: standingSlot(account, at), ballot: 0, value: digest };
    const decided: Decided = { certificate: seal(certificateKind, body, signer).bytes, value: bytes };
    return { type: 'standing', decided, cursors: [{ peer: signer.peer, at: next }] };
  }
}

/** Read between two decisions, so that all parts are of one moment. */
async function readStanding(
  { store, committee }: Pick<Notary, 'store' | 'committee'>,
  account: string,
  at: number,
): Promise<{ standing: Standing; next: number }> {
  const { info } = committee;
  const before = await store.meta.get(META_KEY);
  const { balance, seq, trail } = (await store.accounts.get(account)) ?? { ...EMPTY_ACCOUNT, trail: 0 };
  const escrows = await openEscrows(store, account, info);
  const after = await store.meta.get(META_KEY);
  if (before?.log !== after?.log || escrows.length > MAX_STANDING)
    refuse({ code: 'NOTARIES_BEHIND', reason: 'busy' }, 'too much happens at this moment: ask again');
  return { standing: { net: info.net, account, at, balance, seq, escrows }, next: trail };
}

async function openEscrows(
  { escrows }: Notary['store'],
  account: string,
  info: GenesisInfo,
): Promise<Standing['escrows']> {
  const found: Standing['escrows'] = [];
  for await (const [, stored] of escrows.iterate({ limit: Number.MAX_SAFE_INTEGER })) {
    const { escrowId, requester, lock, state, steps } = stored.escrow;
    if (!holdsMoney(stored.escrow) || !partiesOf(stored, info).includes(account)) continue;
    found.push({ escrowId, requester, lock, state: state as Standing['escrows'][number]['state'], steps });
    if (found.length > MAX_STANDING) break;
  }
  return found;
}
