import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { toHex } from '../wire/index.ts';
import type { Account } from './accounts.ts';
import { holdsMoney, type LedgerEscrow } from './escrow-lock.ts';

/**
 * The state of a ledger as one sum over its items, whatever their order: a batch changes it by its own items alone. LtHash with 1,024
 * numbers of 16 bits (Lewi et al., IACR 2019/227, section 3), for which finding two states with one sum is as hard as for sha-256;
 * a sum of plain 256-bit hashes would not be.
 */
export const STATE_BYTES = 2048;
export const EMPTY_STATE: Uint8Array = new Uint8Array(STATE_BYTES);

/** An account that nothing was ever said of counts as none. */
export function accountItems(
  id: string,
  { balance, seq, memberships = 0, revoked = false }: Account,
): string[] {
  if (balance === 0n && seq === 0 && memberships === 0 && !revoked) return [];
  return [`A/${id}/${seq}/${balance}/${memberships}/${revoked ? 'revoked' : ''}`];
}

/** Its name stands for its lock. One that is closed counts as none: what it paid is in the accounts. */
export function escrowItems(escrow: LedgerEscrow | undefined): string[] {
  return escrow && holdsMoney(escrow) ? [`E/${escrow.escrowId}/${escrow.steps}/${escrow.state}`] : [];
}

/** Slots whose decisions are looked at for ever: of committees, invites, removals and deposits; not of orders and steps. */
export const KEPT_SLOTS = ['C/', 'G/', 'M/', 'R/'];

export function isKept(slot: string): boolean {
  return KEPT_SLOTS.some(prefix => slot.startsWith(prefix));
}

export function slotItems(slot: string, digest: Uint8Array): string[] {
  return isKept(slot) ? [`${slot}/${toHex(digest)}`] : [];
}

/** The bytes as numbers in this machine's order: all that Node runs on are little-endian. */
function wordsOf(bytes: Uint8Array): Uint16Array {
  return new Uint16Array(new Uint8Array(bytes).buffer);
}

/** Of what came last, 1 MiB: it goes as soon as its account or escrow changes again. */
const hashes = new LRUCache<string, Uint16Array>({ max: 512 });

function hashOf(item: string): Uint16Array {
  const known = hashes.get(item);
  if (known) return known;
  const words = wordsOf(createHash('shake128', { outputLength: STATE_BYTES }).update(item).digest());
  hashes.set(item, words);
  return words;
}

/** The state without the items that are gone, and with those that came. Each list names an item once; one that is in both stays. */
export function changeState(state: Uint8Array, gone: readonly string[], come: readonly string[]): Uint8Array {
  const sum = wordsOf(state);
  const [before, after] = [new Set(gone), new Set(come)];
  for (const item of before) {
    if (after.delete(item)) continue;
    const words = hashOf(item);
    for (let i = 0; i < sum.length; i++) sum[i]! -= words[i]!;
  }
  for (const item of after) {
    const words = hashOf(item);
    for (let i = 0; i < sum.length; i++) sum[i]! += words[i]!;
  }
  return new Uint8Array(sum.buffer);
}
