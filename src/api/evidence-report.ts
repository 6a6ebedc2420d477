import * as z from 'zod';
import { checkContradiction, type Proof, RULES } from '../ledger/index.ts';
import { CodedError, codeOf, messageOf } from '../util/index.ts';
import { readGenesis } from '../wire/index.ts';
import { isoTime, peerText } from './fields.ts';
import { iso } from './task-views.ts';

const base64Text = z.string().meta({ description: 'Signed, as it was sent, in base 64' });

export const evidenceReply = z.object({
  genesis: base64Text,
  evidence: z.array(
    z.object({
      signer: peerText,
      role: z.enum(['notary', 'account']),
      rule: z.enum(RULES).meta({ description: 'What no honest signer does' }),
      slot: z.string(),
      found_at: isoTime,
      first: base64Text,
      second: base64Text,
    }),
  ),
});

export type EvidenceReply = z.output<typeof evidenceReply>;

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));

export function evidenceOf(genesis: Uint8Array, proofs: readonly Proof[]): EvidenceReply {
  const evidence = proofs.map(({ signer, rule, slot, at, first, second }) => ({
    signer,
    role: rule === 'ordered-twice' ? ('account' as const) : ('notary' as const),
    rule,
    slot,
    found_at: iso(at),
    first: base64(first),
    second: base64(second),
  }));
  return { genesis: base64(genesis), evidence };
}

export type EvidenceFileErrorType = { code: 'EVIDENCE_FORMAT' } | { code: 'EVIDENCE_DIFFERS'; index: number };

/** What a file of evidence proves. */
export interface EvidenceReport {
  readonly valid: boolean;
  /** The first entry that fails. */
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly evidence: {
    readonly network: string;
    readonly network_id: string;
    readonly proofs: number;
  } | null;
}

/** Checks what `GET /ledger/evidence` answered, by its bytes alone: nobody is asked. Never throws. */
export function reportEvidence(text: string): EvidenceReport {
  try {
    const { genesis, evidence } = parse(text);
    const info = readGenesis(bytesOf(genesis));
    for (const [index, entry] of evidence.entries()) checkEntry(entry, index, info.net);
    const { name } = info.genesis;
    const found = { network: name, network_id: info.networkId, proofs: evidence.length };
    return { valid: true, error: null, evidence: found };
  } catch (error) {
    return { valid: false, error: { code: codeOf(error), message: messageOf(error) }, evidence: null };
  }
}

function parse(text: string): EvidenceReply {
  try {
    return evidenceReply.parse(JSON.parse(text));
  } catch (cause) {
    throw new CodedError<EvidenceFileErrorType>(
      { code: 'EVIDENCE_FORMAT' },
      'this is no file of evidence: duxnode evidence --json writes one',
      { cause },
    );
  }
}

function checkEntry(entry: EvidenceReply['evidence'][number], index: number, net: Uint8Array): void {
  const { rule, slot, signers } = checkContradiction(net, bytesOf(entry.first), bytesOf(entry.second));
  if (rule === entry.rule && slot === entry.slot && signers.includes(entry.signer)) return;
  throw new CodedError<EvidenceFileErrorType>(
    { code: 'EVIDENCE_DIFFERS', index },
    `entry ${index} says something else than its statements: they prove ${rule} in ${slot} by ${signers.join(', ')}`,
  );
}
