import { CodedError } from '../util/index.ts';
import { type GenesisInfo, MAX_AMOUNT, sameBytes } from '../wire/index.ts';
import { holdsMoney } from './escrow-lock.ts';
import { auditFailed } from './notary-draft.ts';
import { META_KEY, type NotaryStore } from './notary-store.ts';
import type { NotaryMeta } from './records.ts';

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
async function begin(store: NotaryStore, info: GenesisInfo): Promise<NotaryMeta> {
  if (info.supply > MAX_AMOUNT)
    throw new CodedError<NotaryStateErrorType>(
      { code: 'LEDGER_SUPPLY_TOO_LARGE', supply: info.supply },
      `the genesis allocates ${info.supply}; a ledger holds ${MAX_AMOUNT} at most`,
    );
  const balances = new Map<string, bigint>();
  for (const { account, amount } of info.genesis.allocations)
    balances.set(account, (balances.get(account) ?? 0n) + amount);
  const meta = { net: info.net, lastMs: 0, log: 0, balances: info.supply, escrows: 0n };
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
  for await (const [, account] of store.accounts.iterate({ limit })) balances += account.balance;
  for await (const [, { escrow }] of store.escrows.iterate({ limit }))
    if (holdsMoney(escrow)) escrows += escrow.lock.amount;
  if (balances + escrows !== info.supply || balances !== meta.balances || escrows !== meta.escrows)
    throw auditFailed(info.supply, balances + escrows, 'recount');
}

/**
 * The ledger as it is on disk, counted again, or a new one.
 * @throws CodedError `LEDGER_OTHER_NETWORK`, `LEDGER_SUPPLY_TOO_LARGE`, `LEDGER_AUDIT_FAILED`, `LEDGER_LOST`.
 */
export async function loadNotary(store: NotaryStore, info: GenesisInfo): Promise<NotaryMeta> {
  const meta = await store.meta.get(META_KEY);
  if (!meta) return begin(store, info);
  if (!sameBytes(meta.net, info.net))
    throw new CodedError<NotaryStateErrorType>(
      { code: 'LEDGER_OTHER_NETWORK' },
      'the ledger in this data directory belongs to another network: choose another directory',
    );
  if (meta.lost) throw ledgerLost();
  await recount(store, info, meta);
  return meta;
}
