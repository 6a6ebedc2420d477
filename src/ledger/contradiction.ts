import { CodedError } from '../util/index.ts';
import {
  type BodyOf,
  certificateKind,
  ledgerOrderKind,
  MAX_VALUE_BYTES,
  type Opened,
  open,
  peekKind,
  proposalKind,
  reportKind,
  sameBytes,
  voteKind,
} from '../wire/index.ts';
import { isAbove } from './slot.ts';
import { orderSlot } from './statement.ts';

type Of<K extends string, T> = { readonly kind: K; readonly signed: Opened<T> };

/** What a notary signs while a slot is decided. */
export type NotaryWord =
  | Of<'vote', BodyOf<typeof voteKind>>
  /** One notary's part of a certificate, or a whole one. */
  | Of<'commit', BodyOf<typeof certificateKind>>
  | Of<'proposal', BodyOf<typeof proposalKind>>
  | Of<'report', BodyOf<typeof reportKind>>;

/** What somebody signed that can contradict what he signed before. */
export type Word = NotaryWord | Of<'order', BodyOf<typeof ledgerOrderKind>>;

/** What no honest signer does. */
export const RULES = [
  'voted-twice',
  'committed-twice',
  'proposed-twice',
  'reported-twice',
  /** A report that leaves an earlier commit out, or a commit after the promise not to. */
  'commit-unreported',
  'ordered-twice',
] as const;

export type Rule = (typeof RULES)[number];

/** Two words that are proof against all who signed both. */
export interface Contradiction {
  readonly rule: Rule;
  readonly slot: string;
  readonly signers: readonly string[];
}

export type ContradictionErrorType =
  | { code: 'CONTRADICTION_NONE' }
  | { code: 'STATEMENT_KIND'; kind: string };

/** @throws WireError for bytes that are not what they claim; CodedError `STATEMENT_KIND`. */
export function readWord(bytes: Uint8Array): Word {
  const kind = peekKind(bytes, MAX_VALUE_BYTES) ?? 'unknown';
  switch (kind) {
    case 'vote':
      return { kind, signed: open(voteKind, bytes) };
    case 'certificate':
      return { kind: 'commit', signed: open(certificateKind, bytes) };
    case 'proposal':
      return { kind, signed: open(proposalKind, bytes) };
    case 'report':
      return { kind, signed: open(reportKind, bytes) };
    case 'ledger-order':
      return { kind: 'order', signed: open(ledgerOrderKind, bytes) };
    default:
      throw new CodedError<ContradictionErrorType>(
        { code: 'STATEMENT_KIND', kind },
        `nobody contradicts himself by a statement of kind ${kind}`,
      );
  }
}

const TWICE = {
  vote: 'voted-twice',
  commit: 'committed-twice',
  proposal: 'proposed-twice',
  report: 'reported-twice',
} as const;

function ruleOf(a: Word, b: Word): { rule: Rule; slot: string } | undefined {
  if (a.kind === 'order' || b.kind === 'order') {
    if (a.kind !== 'order' || b.kind !== 'order') return undefined;
    const { account, seq } = a.signed.body;
    const isSame = account === b.signed.body.account && seq === b.signed.body.seq;
    return isSame ? { rule: 'ordered-twice', slot: orderSlot(account, seq) } : undefined;
  }
  const { epoch, slot, ballot } = a.signed.body;
  if (epoch !== b.signed.body.epoch || slot !== b.signed.body.slot) return undefined;
  if (a.kind === b.kind) return ballot === b.signed.body.ballot ? { rule: TWICE[a.kind], slot } : undefined;
  const isUnreported =
    (a.kind === 'commit' && b.kind === 'report' && leavesOut(b, a)) ||
    (a.kind === 'report' && b.kind === 'commit' && leavesOut(a, b));
  return isUnreported ? { rule: 'commit-unreported', slot } : undefined;
}

/** A report promises no commit below its ballot, and shows the highest one that there was. */
function leavesOut(
  { signed: { body: report } }: Extract<Word, { kind: 'report' }>,
  { signed: { body: commit } }: Extract<Word, { kind: 'commit' }>,
): boolean {
  if (report.ballot <= commit.ballot) return false;
  const { lock } = report;
  if (lock === null || isAbove(commit, lock)) return true;
  return !isAbove(lock, commit) && !sameBytes(lock.value, commit.value);
}

/** What two words prove; undefined where honest people may have signed them. */
export function contradictionOf(a: Word, b: Word): Contradiction | undefined {
  if (sameBytes(a.signed.digest, b.signed.digest) || !sameBytes(a.signed.body.net, b.signed.body.net))
    return undefined;
  const found = ruleOf(a, b);
  const by = found?.rule === 'ordered-twice' ? [found.slot.split('/')[1]] : a.signed.signers;
  const signers = a.signed.signers.filter(peer => by.includes(peer) && b.signed.signers.includes(peer));
  return found && signers.length > 0 ? { ...found, signers } : undefined;
}

/**
 * A proof as it was handed out: both statements, with nothing else needed but the network's hash.
 * @throws CodedError `CONTRADICTION_NONE`, `STATEMENT_KIND`; WireError.
 */
export function checkContradiction(net: Uint8Array, first: Uint8Array, second: Uint8Array): Contradiction {
  const [a, b] = [readWord(first), readWord(second)];
  const found = sameBytes(a.signed.body.net, net) ? contradictionOf(a, b) : undefined;
  if (found) return found;
  throw new CodedError<ContradictionErrorType>(
    { code: 'CONTRADICTION_NONE' },
    'an honest signer may have made both statements, or they belong to another network: they prove nothing',
  );
}
