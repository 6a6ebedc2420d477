import { CodedError } from '../util/index.ts';
import { sha256 } from '../wire/index.ts';
import type { Committee } from './committee.ts';
import type { ValueKind } from './value-kind.ts';

/** A statement that a notary has seen for a slot. */
export interface KnownValue {
  /** Hex. */
  readonly digest: string;
  readonly kind: ValueKind;
  readonly value: Uint8Array;
  /** It came while its time was: a notary's time never steps back, so one that was late stays so. */
  readonly timely: boolean;
  /** The account had the money, then or later. */
  readonly afford: boolean;
}

/** A ballot's place among all of a slot: those of a later epoch are above those of an earlier one. */
export interface Rank {
  readonly epoch: number;
  readonly ballot: number;
}

export function isAbove(a: Rank, b: Rank): boolean {
  return a.epoch === b.epoch ? a.ballot > b.ballot : a.epoch > b.epoch;
}

/** The votes of a quorum for a statement, one of those that are known. */
export interface Lock extends Rank {
  readonly digest: string;
  readonly qc: Uint8Array;
}

/** What a notary keeps of an undecided slot, synced before each signature that follows from it. */
export interface SlotState {
  /** No vote, commit or report below it any more. */
  readonly promised: number;
  /** The last vote. */
  readonly voted: { readonly ballot: number; readonly digest: string } | null;
  /** The highest QC seen. */
  readonly lock: Lock | null;
  readonly known: readonly KnownValue[];
  /** The last ballot that this notary coordinated; 0: none. */
  readonly proposed: number;
}

export const NEW_SLOT: SlotState = { promised: 0, voted: null, lock: null, known: [], proposed: 0 };

export type SlotErrorType =
  | { code: 'SLOT_BALLOT'; slot: string; ballot: number }
  | { code: 'SLOT_VOTED'; slot: string; ballot: number }
  | { code: 'SLOT_LOCKED'; slot: string; ballot: number }
  | { code: 'SLOT_CROWDED'; slot: string; limit: number }
  | { code: 'SLOT_PROPOSED'; slot: string; ballot: number }
  | { code: 'RECOVER_EARLY'; slot: string; ballot: number; waitMs: number };

function refuse(type: SlotErrorType, message: string): never {
  throw new CodedError(type, message);
}

function pastBallot(slot: string, ballot: number): never {
  refuse(
    { code: 'SLOT_BALLOT', slot, ballot },
    `${slot} has moved on to ballot ${ballot}: ask for a later one`,
  );
}

/** Statements of one kind that are remembered: nobody's many shut out another's. */
const MAX_OF_A_KIND = 4;

/** Timeouts and skips follow from reports; nobody has to have seen one. */
const isEvidence = ({ kind }: Pick<KnownValue, 'kind'>): boolean => kind !== 'timeout' && kind !== 'skip';

/** Remembers `value`. Timely and affordable it may become: a notary may first have seen it among the votes for it. */
export function learn(state: SlotState, value: KnownValue, isKept = false): SlotState {
  const index = state.known.findIndex(({ digest }) => digest === value.digest);
  if (index >= 0) {
    const before = state.known[index]!;
    const timely = before.timely || value.timely;
    const afford = before.afford || value.afford;
    if (timely === before.timely && afford === before.afford) return state;
    return { ...state, known: state.known.with(index, { ...before, timely, afford }) };
  }
  const ofKind = state.known.filter(({ kind }) => kind === value.kind).length;
  if (!isKept && (!isEvidence(value) || ofKind >= MAX_OF_A_KIND)) return state;
  return { ...state, known: [...state.known, value] };
}

/** That a statement could be remembered: a vote for one that no report can name would help nobody. @throws CodedError `SLOT_CROWDED`. */
export function requireKnown(
  { known }: SlotState,
  slot: string,
  value: Pick<KnownValue, 'digest' | 'kind'>,
): void {
  if (isEvidence(value) && !known.some(({ digest }) => digest === value.digest))
    refuse(
      { code: 'SLOT_CROWDED', slot, limit: MAX_OF_A_KIND },
      `${MAX_OF_A_KIND} statements of this kind are remembered for ${slot}, and no more: recover the slot`,
    );
}

/**
 * A vote, one for each ballot.
 * @throws CodedError `SLOT_BALLOT`, `SLOT_VOTED`.
 */
function vote(state: SlotState, slot: string, ballot: number, digest: string): SlotState {
  if (ballot < state.promised) pastBallot(slot, state.promised);
  if (state.voted && state.voted.ballot === ballot && state.voted.digest !== digest)
    refuse(
      { code: 'SLOT_VOTED', slot, ballot },
      `another statement was voted for in ${slot}, ballot ${ballot}: recover the slot`,
    );
  return { ...state, promised: ballot, voted: { ballot, digest } };
}

/** True for a slot that may have been decided in an epoch that has ended: what it holds is for recovery alone to say. */
function isInherited({ lock }: SlotState, epoch: number): boolean {
  return lock !== null && lock.epoch < epoch;
}

/** A vote at ballot 0 for what is valid, timely and affordable. @throws CodedError `SLOT_BALLOT`, `SLOT_VOTED`. */
export function propose(
  state: SlotState,
  slot: string,
  epoch: number,
  value: Pick<KnownValue, 'digest'>,
): SlotState {
  if (state.promised > 0 || isInherited(state, epoch)) pastBallot(slot, state.promised);
  return vote(state, slot, 0, value.digest);
}

/** A lock on what a quorum voted for, whatever this notary voted for. @throws CodedError `SLOT_BALLOT`, `SLOT_LOCKED`. */
export function commit(
  state: SlotState,
  slot: string,
  { epoch, ballot }: Rank,
  value: KnownValue,
  qc: Uint8Array,
): SlotState {
  if (ballot < state.promised) pastBallot(slot, state.promised);
  // Votes of two quorums: liars are too many, and would make one of us.
  const { lock } = state;
  if (lock?.epoch === epoch && lock.ballot === ballot && lock.digest !== value.digest)
    refuse(
      { code: 'SLOT_LOCKED', slot, ballot },
      `another statement was committed to in ${slot}, ballot ${ballot}`,
    );
  const next = learn(state, value, true);
  return { ...next, promised: ballot, lock: higher(state.lock, { epoch, ballot, digest: value.digest, qc }) };
}

function higher(lock: Lock | null, other: Lock): Lock {
  return lock && !isAbove(other, lock) ? lock : other;
}

/** The slot as the next epoch begins with it: ballots count anew, and nothing that was seen or committed to is forgotten. */
export function carryOver({ known, lock }: SlotState): SlotState {
  return known.length === 0 && !lock ? NEW_SLOT : { ...NEW_SLOT, known, lock };
}

/** Takes over what another notary had committed to. */
export function inherit(state: SlotState, lock: Lock, value: KnownValue): SlotState {
  return { ...learn(state, value, true), lock: higher(state.lock, lock) };
}

/** The first wait of a recovery; twice as long at each ballot, so that rivals get out of each other's way. */
const RECOVER_MS = 500;
const MAX_DOUBLINGS = 6;

/** What speaks for a recovery beyond its being asked for. */
export interface RecoverReasons {
  /** Since this notary voted, committed or promised at the slot's ballot. */
  readonly quietMs: number;
  /** Other notaries that have gone to the ballot. */
  readonly joined: number;
}

/**
 * A promise to leave all lower ballots behind. Honoured after a time of quiet, on conflicting statements, in what an ended epoch left, or when one honest
 * notary at least has done so: else anybody could keep a slot from ever being decided.
 * @throws CodedError `SLOT_BALLOT`, `RECOVER_EARLY { waitMs }`.
 */
export function recover(
  state: SlotState,
  slot: string,
  ballot: number,
  { quietMs, joined }: RecoverReasons,
  { faults, epoch }: Pick<Committee, 'faults' | 'epoch'>,
): SlotState {
  if (ballot <= state.promised) pastBallot(slot, state.promised);
  const waitMs = RECOVER_MS * 2 ** Math.min(state.promised, MAX_DOUBLINGS);
  const isContested = state.known.filter(isEvidence).length > 1 && state.promised === 0;
  const isLeft = isInherited(state, epoch) && state.promised === 0;
  const isDue = state.known.length > 0 && quietMs >= waitMs;
  if (!isDue && !isContested && !isLeft && joined <= faults)
    refuse(
      {
        code: 'RECOVER_EARLY',
        slot,
        ballot: state.promised,
        waitMs: Math.max(1, Math.ceil(waitMs - quietMs)),
      },
      `${slot} may still be decided at ballot ${state.promised}: try again later`,
    );
  return { ...state, promised: ballot };
}

/** The notary that says what a ballot votes on. */
export function coordinatorOf(slot: string, ballot: number, { keys }: Pick<Committee, 'keys'>): string {
  const offset = Buffer.from(sha256(Buffer.from(slot))).readUInt32BE(0);
  return keys[(ballot + offset) % keys.length]!;
}

/** The coordinator's word for a ballot, given once. @throws CodedError `SLOT_PROPOSED`, `SLOT_BALLOT`. */
export function coordinate(state: SlotState, slot: string, ballot: number): SlotState {
  if (ballot < state.promised) pastBallot(slot, state.promised);
  if (ballot <= state.proposed)
    refuse(
      { code: 'SLOT_PROPOSED', slot, ballot: state.proposed },
      `ballot ${ballot} of ${slot} was coordinated already: ask for a later one`,
    );
  return { ...state, proposed: ballot };
}

/** A vote for what a quorum of reports leads to. @throws CodedError `SLOT_BALLOT`, `SLOT_VOTED`. */
export function elect(state: SlotState, slot: string, ballot: number, digest: string): SlotState {
  return vote(state, slot, ballot, digest);
}
