import { type Abortable, CodedError } from '../util/index.ts';
import {
  certificateKind,
  type Decided,
  type LedgerAnswer,
  mergeSignatures,
  type Opened,
  type Outcome,
  open,
  type RoundOutcome,
  type RoundRefusal,
  toHex,
  type Vote,
  voteKind,
} from '../wire/index.ts';
import { checkDecided } from './certificates.ts';
import type { Committee } from './committee.ts';
import { askAll, type SeveralComponents } from './several.ts';
import { digestOf, readStatement, type Stated, stated } from './statement.ts';

const CONTESTED = ['SLOT_VOTED', 'SLOT_BALLOT', 'SLOT_CROWDED'];

/** One statement on its way through its slot. */
export class Round {
  readonly value: Stated;
  decided: Decided | undefined;
  readonly refusals: RoundRefusal[] = [];
  /** By slot and ballot, then by signer. */
  readonly #votes = new Map<string, Map<string, Opened<Vote>>>();

  constructor(value: Stated) {
    this.value = value;
  }

  get votes(): number {
    return Math.max(0, ...[...this.#votes.values()].map(({ size }) => size));
  }

  /** Takes one notary's answer in. What is not what it should be is as good as none. */
  take(outcome: RoundOutcome | undefined, peer: string, parts: SeveralComponents): void {
    try {
      if (outcome?.type === 'refused') this.refusals.push(outcome);
      if (outcome?.type === 'decided') {
        checkDecided(outcome.decided, parts.committee);
        this.decided ??= outcome.decided;
      }
      if (outcome?.type === 'signed') this.#takeVote(open(voteKind, outcome.signed), peer, parts);
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
    }
  }

  #takeVote(vote: Opened<Vote>, peer: string, { witness }: SeveralComponents): void {
    witness?.saw({ kind: 'vote', signed: vote });
    const { slot, ballot, value } = vote.body;
    if (vote.signers.length !== 1 || vote.signers[0] !== peer || toHex(value) !== this.value.digest) return;
    const name = `${slot} ${ballot} ${toHex(vote.digest)}`;
    const votes = this.#votes.get(name) ?? new Map<string, Opened<Vote>>();
    this.#votes.set(name, votes.set(peer, vote));
  }

  /** The votes of a quorum, in one envelope. */
  qc({ committee }: SeveralComponents): Opened<Vote> | undefined {
    const votes = [...this.#votes.values()].find(({ size }) => size >= committee.quorum);
    return votes && mergeSignatures(voteKind, [...votes.values()].slice(0, committee.quorum));
  }

  /** What each ballot's voters signed, for those who may have seen some of them vote otherwise. */
  words(): Uint8Array[] {
    return [...this.#votes.values()].map(votes => mergeSignatures(voteKind, [...votes.values()]).bytes);
  }

  /** The slot that somebody voted in, or says has moved on. */
  get slot(): string | undefined {
    const voted = [...this.#votes].sort(([, a], [, b]) => b.size - a.size)[0];
    return voted?.[0].split(' ')[0] ?? this.refusals.find(({ slot }) => slot !== null)?.slot ?? undefined;
  }

  /** Others' statements, or an earlier recovery, are in its way. */
  get isContested(): boolean {
    return this.refusals.some(({ code }) => CONTESTED.includes(code));
  }
}

function outcomeAt(answer: LedgerAnswer, index: number): RoundOutcome | undefined {
  return answer.type === 'round' ? answer.outcomes[index] : undefined;
}

/** Asks all notaries for their votes. Rounds whose slot is decided already are as they were. */
export async function proposeAll(
  parts: SeveralComponents,
  values: readonly Uint8Array[],
  options: Abortable,
): Promise<{ rounds: Round[]; answered: number }> {
  const rounds = values.map(value => new Round(stated(value)));
  const { quorum } = parts.committee;
  const { answered } = await askAll(
    parts,
    parts.committee.keys,
    { type: 'propose', epoch: parts.committee.epoch, values: [...values] },
    (answer, peer) => {
      for (const [i, round] of rounds.entries()) round.take(outcomeAt(answer, i), peer, parts);
      return rounds.every(round => round.decided || round.votes >= quorum);
    },
    options,
  );
  return { rounds, answered };
}

/** Turns votes of quorums into certificates. */
export async function commitAll(
  parts: SeveralComponents,
  rounds: readonly Round[],
  options: Abortable,
): Promise<void> {
  const { committee } = parts;
  const voted = rounds.flatMap(round => {
    const qc = round.decided ? undefined : round.qc(parts);
    return qc ? [{ round, qc, shares: new Map<string, Opened<never>>() }] : [];
  });
  if (voted.length === 0) return;
  await askAll(
    parts,
    committee.keys,
    { type: 'commit', items: voted.map(({ round, qc }) => ({ qc: qc.bytes, value: round.value.value })) },
    (answer, peer) => {
      for (const [i, item] of voted.entries()) takeShare(item, outcomeAt(answer, i), peer, parts);
      return voted.every(({ round, shares }) => round.decided || shares.size >= committee.quorum);
    },
    options,
  );
  for (const { round, shares } of voted) {
    if (round.decided || shares.size < committee.quorum) continue;
    const all = mergeSignatures(certificateKind, [...shares.values()].slice(0, committee.quorum));
    round.decided = { certificate: all.bytes, value: round.value.value };
  }
}

function takeShare(
  item: { round: Round; qc: Opened<Vote>; shares: Map<string, Opened<never>> },
  outcome: RoundOutcome | undefined,
  peer: string,
  parts: SeveralComponents,
): void {
  if (outcome?.type !== 'signed') {
    item.round.take(outcome, peer, parts);
    return;
  }
  try {
    const share = open(certificateKind, outcome.signed);
    parts.witness?.saw({ kind: 'commit', signed: share });
    const { slot, ballot, value } = share.body;
    const { body } = item.qc;
    const isSame = slot === body.slot && ballot === body.ballot && toHex(value) === toHex(body.value);
    if (isSame && share.signers.length === 1 && share.signers[0] === peer)
      item.shares.set(peer, share as Opened<never>);
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
  }
}

/** Lets every notary know of decisions; resolves when a quorum has taken them in. One that does not hear of it has it from the others. */
export async function tellAll(
  parts: SeveralComponents,
  decided: readonly Decided[],
  options: Abortable = {},
): Promise<void> {
  if (decided.length === 0) return;
  let taken = 0;
  await askAll(
    parts,
    parts.committee.keys,
    { type: 'certify', decided: [...decided] },
    () => ++taken >= parts.committee.quorum,
    options,
  );
}

/** True where an honest notary says that the epoch has ended. */
export function isOver(refusals: readonly RoundRefusal[], { faults }: Committee): boolean {
  return refusals.filter(({ code }) => code === 'WRONG_EPOCH').length > faults;
}

/** What became of a round that has come to its end; undefined where it needs a recovery. */
export function outcomeOf(
  round: Round,
  answered: number,
  { committee }: SeveralComponents,
): Outcome | undefined {
  const { decided, value, refusals } = round;
  if (decided) return decidedOutcome(value, decided);
  if (answered < committee.quorum)
    return { ok: false, code: 'NOTARIES_FEW', message: `${answered} of ${committee.quorum} notaries answer` };
  if (round.isContested && round.slot !== undefined) return undefined;
  if (isOver(refusals, committee))
    return { ok: false, code: 'WRONG_EPOCH', message: 'the notaries are changing' };
  const [first] = refusals;
  // Where some voted, the others may only be late.
  if (!first || round.votes > 0)
    return { ok: false, code: 'NOTARIES_BEHIND', message: 'notaries are not up to date' };
  return { ok: false, code: first.code, message: first.message };
}

export function decidedOutcome(value: Stated, decided: Decided): Outcome {
  if (toHex(digestOf(readStatement(decided.value))) === value.digest) return { ok: true, decided };
  return { ok: false, code: 'SLOT_DECIDED', message: 'the slot was decided for another statement' };
}
