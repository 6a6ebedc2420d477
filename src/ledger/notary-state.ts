import { CodedError } from '../util/index.ts';
import { type GenesisInfo, MAX_AMOUNT, sameBytes } from '../wire/index.ts';
import { holdsMoney } from './escrow-lock.ts';
import { auditFailed } from './notary-draft.ts';
import { META_KEY, type NotaryStore } from './notary-store.ts';
import type { NotaryMeta } from './records.ts';
import {
  accountItems,
  changeState,
  EMPTY_STATE,
  escrowItems,
  KEPT_SLOTS,
  slotItems,
} from './state-digest.ts';

export type NotaryStateErrorType =
  | { code: 'LEDGER_OTHER_NETWORK' }
  | { code: 'LEDGER_SUPPLY_TOO_LARGE'; supply: bigint }
  | { code: 'LEDGER_LOST' };

/** Its db/ is gone, or an old copy: it would vote again on what it voted on before. */
export function ledgerLost(): CodedError<NotaryStateErrorType> {
  return new CodedError<NotaryStateErrorType>(
    { code: 'LEDGER_LOST' },
    'this notary has signed what its ledger knows nothing of, and signs nothing more: put the last db/ back, or move identity.key away and be named a notary by the new key',
  );
}

/** The ledger of a new network: the genesis allocations. */
async function begin(store: NotaryStore, info: GenesisInfo, self: string): Promise<NotaryMeta> {
  if (info.supply > MAX_AMOUNT)
    throw new CodedError<NotaryStateErrorType>(
      { code: 'LEDGER_SUPPLY_TOO_LARGE', supply: info.supply },
      `the genesis allocates ${info.supply}; a ledger holds ${MAX_AMOUNT} at most`,
    );
  const balances = new Map<string, bigint>();
  for (const { account, amount } of info.genesis.allocations)
    balances.set(account, (balances.get(account) ?? 0n) + amount);
  const items = [...balances].flatMap(([id, balance]) => accountItems(id, { balance, seq: 0 }));
  const state = changeState(EMPTY_STATE, [], items);
  const frozen = !info.genesis.notaries.includes(self);
  const meta = {
    net: info.net,
    lastMs: 0,
    log: 0,
    balances: info.supply,
    escrows: 0n,
    state,
    epoch: 0,
    since: 0,
    frozen,
  };
  const accounts = [...balances].map(([id, balance]) =>
    store.accounts.putOp(id, { balance, seq: 0, trail: 0 }),
  );
  await store.db.write([...accounts, store.meta.putOp(META_KEY, meta)], { sync: true });
  return meta;
}

/**
 * Adds up every account and every open escrow.
 * @throws CodedError `LEDGER_AUDIT_FAILED` when they are not the supply, or not what the running sums say.
 */
export async function recount(store: NotaryStore, info: GenesisInfo, meta: NotaryMeta): Promise<void> {
  // No limit of the count: every record is added and let go, so memory stays flat.
  const limit = Number.MAX_SAFE_INTEGER;
  let balances = 0n;
  let escrows = 0n;
  let state = EMPTY_STATE;
  for await (const [id, account] of store.accounts.iterate({ limit })) {
    balances += account.balance;
    state = changeState(state, [], accountItems(id, account));
  }
  for await (const [, { escrow }] of store.escrows.iterate({ limit })) {
    if (holdsMoney(escrow)) escrows += escrow.lock.amount;
    state = changeState(state, [], escrowItems(escrow));
  }
  for (const prefix of KEPT_SLOTS)
    for await (const [slot, { digest }] of store.slots.iterate({ prefix, limit }))
      state = changeState(state, [], slotItems(slot, digest));
  const isSame = balances === meta.balances && escrows === meta.escrows && sameBytes(state, meta.state);
  if (balances + escrows !== info.supply || !isSame)
    throw auditFailed(info.supply, balances + escrows, 'recount');
}

/**
 * The ledger as it is on disk, counted again, or a new one.
 * @throws CodedError `LEDGER_OTHER_NETWORK`, `LEDGER_SUPPLY_TOO_LARGE`, `LEDGER_AUDIT_FAILED`, `LEDGER_LOST`.
 */
export async function loadNotary(store: NotaryStore, info: GenesisInfo, self: string): Promise<NotaryMeta> {
  const meta = await store.meta.get(META_KEY);
  if (!meta) return begin(store, info, self);
  if (!sameBytes(meta.net, info.net))
    throw new CodedError<NotaryStateErrorType>(
      { code: 'LEDGER_OTHER_NETWORK' },
      'the ledger in this data directory belongs to another network: choose another directory',
    );
  if (meta.lost) throw ledgerLost();
  await recount(store, info, meta);
  return meta;
}
