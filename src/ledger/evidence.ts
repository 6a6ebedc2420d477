import { CodedError } from '../util/index.ts';
import {
  type Accept,
  type Attestation,
  acceptKind,
  attestationKind,
  type BodyOf,
  type Cancel,
  cancelKind,
  type Dispute,
  disputeKind,
  type EscrowVerdict,
  MAX_VALUE_BYTES,
  type Mutual,
  mutualKind,
  type Opened,
  open,
  peekKind,
  type Timeout,
  timeoutKind,
  verdictKind,
  verifiedKind,
} from '../wire/index.ts';

/** What the rules look at in an opened envelope. */
export type Signed<B> = Pick<Opened<B>, 'body' | 'signers' | 'digest'>;

/** Evidence for a step of an escrow, its signatures checked. Who signed is known; whether that is the right one is the rules' business. */
export type Evidence =
  | { readonly kind: 'accept'; readonly statement: Signed<Accept> }
  | { readonly kind: 'cancel'; readonly statement: Signed<Cancel> }
  | { readonly kind: 'mutual'; readonly statement: Signed<Mutual> }
  | { readonly kind: 'claim'; readonly statement: Signed<Attestation> }
  | {
      readonly kind: 'verified';
      readonly statement: Signed<BodyOf<typeof verifiedKind>>;
      /** The worker's attestation that travels inside. */
      readonly attestation: Signed<Attestation>;
    }
  | { readonly kind: 'dispute'; readonly statement: Signed<Dispute> }
  | { readonly kind: 'verdict'; readonly statement: Signed<EscrowVerdict> }
  | { readonly kind: 'timeout'; readonly statement: Signed<Timeout> };

export type EvidenceErrorType = { code: 'STATEMENT_KIND'; kind: string };

/** The escrow that evidence is about; undefined for an attestation or acceptance of unpaid work. */
export function escrowOf(evidence: Evidence): string | undefined {
  return evidence.statement.body.escrowId ?? undefined;
}

/**
 * Opens evidence of any kind.
 * @throws WireError for bytes that are not what they claim; CodedError `STATEMENT_KIND` for what no escrow takes.
 */
export function readEvidence(
  bytes: Uint8Array,
  kind = peekKind(bytes, MAX_VALUE_BYTES) ?? 'unknown',
): Evidence {
  switch (kind) {
    case 'accept':
      return { kind, statement: open(acceptKind, bytes) };
    case 'cancel':
      return { kind, statement: open(cancelKind, bytes) };
    case 'mutual':
      return { kind, statement: open(mutualKind, bytes) };
    case 'attestation':
      return { kind: 'claim', statement: open(attestationKind, bytes) };
    case 'verified': {
      const statement = open(verifiedKind, bytes);
      return { kind, statement, attestation: open(attestationKind, statement.body.worker) };
    }
    case 'dispute':
      return { kind, statement: open(disputeKind, bytes) };
    case 'verdict':
      return { kind, statement: open(verdictKind, bytes) };
    case 'timeout':
      return { kind, statement: open(timeoutKind, bytes) };
    default:
      throw new CodedError<EvidenceErrorType>(
        { code: 'STATEMENT_KIND', kind },
        `the ledger takes no statement of kind ${kind}`,
      );
  }
}
