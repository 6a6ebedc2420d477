import { CodedError, hasCode } from '../util/index.ts';
import type { GenesisInfo } from '../wire/index.ts';
import type { Candidate, Fallback } from './choose.ts';
import { type Book, type Decision, decide } from './decide.ts';
import { GRACE_MS } from './escrow.ts';
import { holdsMoney } from './escrow-lock.ts';
import { escrowOf } from './evidence.ts';
import { escrowSlot, kindOf, type Stated, type Statement, skipOf, slotOf, timeoutOf } from './statement.ts';

/** How a statement stands at one notary. */
export type Opinion =
  | { readonly type: 'decided'; readonly slot: string; readonly same: boolean }
  | {
      readonly type: 'open';
      readonly slot: string;
      /** What it would do; null while it is too late, too early or too dear. */
      readonly decision: Decision | null;
      /** Why it is so. */
      readonly refusal: CodedError | null;
      readonly timely: boolean;
      readonly afford: boolean;
    };

/** The slot that a statement is for, as the escrow stands here. */
export function slotFor(statement: Statement, book: Book): string {
  if (statement.type !== 'evidence') return slotOf(statement);
  const escrowId = escrowOf(statement.evidence) ?? '';
  return escrowSlot(escrowId, book.escrow(escrowId)?.escrow.steps ?? 0);
}

/**
 * Whether a statement could be decided here. What only time or money speaks against is valid all the same.
 * @throws CodedError as `decide`, but for those of time and money.
 */
export function judge(
  { statement }: Pick<Stated, 'statement'>,
  nowMs: number | null,
  book: Book,
  info: GenesisInfo,
): Opinion {
  try {
    const result = decide(statement, nowMs, book, info);
    if ('same' in result) return { type: 'decided', ...result };
    return {
      type: 'open',
      slot: result.slot,
      decision: result,
      refusal: null,
      timely: true,
      afford: true,
    };
  } catch (error) {
    const timely = !hasCode(error, 'ESCROW_LATE', 'ESCROW_EARLY', 'INVITE_EXPIRED');
    const afford = !hasCode(error, 'FUNDS_INSUFFICIENT');
    if (!(error instanceof CodedError) || (timely && afford)) throw error;
    return {
      type: 'open',
      slot: slotFor(statement, book),
      decision: null,
      refusal: error,
      timely,
      afford,
    };
  }
}

/** True for what could be decided in `slot`, time and money left aside. */
function isValid(value: Stated, slot: string, book: Book, info: GenesisInfo): boolean {
  try {
    const opinion = judge(value, null, book, info);
    return opinion.type === 'open' && opinion.slot === slot;
  } catch (error) {
    if (error instanceof CodedError) return false;
    throw error;
  }
}

/** Those of `values` that a ballot on `slot` may choose from. */
export function candidatesOf(
  values: readonly Stated[],
  slot: string,
  book: Book,
  info: GenesisInfo,
): (Candidate & Stated)[] {
  return values
    .filter(value => isValid(value, slot, book, info))
    .map(value => ({ ...value, kind: kindOf(value.statement) }));
}

/** What `slot` comes to where nobody's statement is chosen; null where it waits for one. */
export function fallbackOf(slot: string, book: Book, info: GenesisInfo): (Fallback & Stated) | null {
  const [type, name = '', number = ''] = slot.split('/');
  if (type === 'A') return { ...skipOf(info.net, name, Number(number)), notBefore: null };
  const stored = type === 'E' ? book.escrow(name) : undefined;
  if (!stored || !holdsMoney(stored.escrow) || stored.escrow.steps !== Number(number)) return null;
  const { state, lock } = stored.escrow;
  if (state === 'OPEN') return { ...timeoutOf(info.net, name, 'refund'), notBefore: lock.claimBy + GRACE_MS };
  if (state === 'CLAIMED')
    return { ...timeoutOf(info.net, name, 'claim'), notBefore: lock.disputeBy + GRACE_MS };
  return { ...timeoutOf(info.net, name, 'arbitration'), notBefore: lock.verdictBy + GRACE_MS };
}
