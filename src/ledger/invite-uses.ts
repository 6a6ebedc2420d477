import { CodedError } from '../util/index.ts';
import type { Decided, Outcome } from '../wire/index.ts';
import { type CheckedDecision, checkDecided } from './certificates.ts';
import { isPassing, type LedgerClient, refused } from './client.ts';
import type { Committees } from './committees.ts';

/** Others may take a number first: so often at most in one attempt. */
const MAX_TRIES = 50;

export interface UseComponents {
  readonly client: LedgerClient;
  readonly committees: Committees;
  readonly account: string;
}

/** How far an invite is, by certificates. */
export interface InviteUses {
  /** The number that comes next. */
  readonly next: number;
  readonly last: CheckedDecision | undefined;
  readonly isRevoked: boolean;
  /** How this account redeemed it. */
  readonly own: CheckedDecision | undefined;
}

/** @throws CodedError as `LedgerClient.persist` and `checkDecided`. */
export async function readUses(
  { client, committees, account }: UseComponents,
  invite: string,
  signal: AbortSignal,
): Promise<InviteUses> {
  const { decided } = await client.persist({ type: 'invite', invite, account }, 'decided', signal);
  const uses = decided
    .map(entry => checkDecided(entry, committees.current))
    .filter(({ slot }) => slot.startsWith(`G/${invite}/`))
    .sort((a, b) => useOf(a) - useOf(b));
  const last = uses.at(-1);
  return {
    next: last ? useOf(last) + 1 : 0,
    last,
    isRevoked: last?.statement.type === 'revoke',
    own: uses.find(
      ({ statement }) => statement.type === 'redeem' && statement.redeem.body.account === account,
    ),
  };
}

const useOf = ({ slot }: CheckedDecision): number => Number(slot.split('/')[2]);

/** What a later look at the invite may change: the number was another's, or what was set aside is still on its way. */
const PASSING = ['SLOT_DECIDED', 'INVITE_USE', 'INVITE_REDEEMED', 'FUNDS_INSUFFICIENT'];

/**
 * Has the next number of an invite decided for what `make` gives for it; a decision that it gives ends the search.
 * @throws CodedError `INVITE_…` and `MEMBER_…` as a notary refused; `LEDGER_REFUSED`; the signal's reason.
 */
export async function takeUse(
  parts: UseComponents,
  invite: string,
  make: (uses: InviteUses) => Uint8Array | Decided,
  signal: AbortSignal,
): Promise<Decided> {
  for (let attempt = 0; ; attempt++) {
    const made = make(await readUses(parts, invite, signal));
    if (!(made instanceof Uint8Array)) return made;
    const outcome = await submitOne(parts, made, signal);
    if (outcome.ok) return outcome.decided;
    if (!PASSING.includes(outcome.code) || attempt >= MAX_TRIES) throw refusalOf(outcome);
    await parts.client.pause(attempt, signal);
  }
}

/** The outcome of a statement, once it is one that another attempt would not change. @throws CodedError as `LedgerClient.persist`. */
export async function submitOne(
  { client, committees }: UseComponents,
  value: Uint8Array,
  signal: AbortSignal,
): Promise<Outcome> {
  for (let attempt = 0; ; attempt++) {
    const { outcomes } = await client.persist({ type: 'submit', values: [value] }, 'outcomes', signal);
    const outcome = outcomes[0] ?? { ok: false, code: 'INTERNAL', message: 'the notary gave no answer' };
    if (outcome.ok) checkDecided(outcome.decided, committees.current);
    if (outcome.ok || !isPassing(outcome.code)) return outcome;
    await client.pause(attempt, signal);
  }
}

/** The notary's own code where it is about invites or members. */
export function refusalOf({ code, message }: Extract<Outcome, { ok: false }>): CodedError {
  return /^(INVITE|MEMBER)_[A-Z]{1,20}$/.test(code)
    ? new CodedError({ code }, message)
    : refused(code, message);
}
