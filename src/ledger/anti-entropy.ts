import type { Network } from '../network/index.ts';
import { type Clock, CodedError, codeOf, every, type Logger, messageOf } from '../util/index.ts';
import {
  type Checkpoint,
  checkpointKind,
  MAX_TRAIL_PAGE,
  mergeSignatures,
  type Opened,
  open,
  sameBytes,
  seal,
} from '../wire/index.ts';
import type { Ask } from './ask.ts';
import { certifyJob } from './committee-desk.ts';
import type { RoundNotary } from './round-job.ts';

/** From one look at the others' logs to the next: what a client could not tell this notary is known here after that. */
const PULL_MS = 1_000;
/** Pages of one log in one look: a notary that was away for long catches up over several, within its rate at the others. */
const MAX_PAGES = 8;

export type AntiEntropyErrorType =
  | { code: 'LOG_INCOMPLETE'; peer: string; log: number }
  | { code: 'NOTARIES_DIFFER'; peer: string; decisions: number }
  | { code: 'NOTARY_BEHIND'; peer: string };

function differs(peer: string, decisions: number): CodedError<AntiEntropyErrorType> {
  return new CodedError<AntiEntropyErrorType>(
    { code: 'NOTARIES_DIFFER', peer, decisions },
    `after the same ${decisions} decisions the notary ${peer} has another state: compare both ledgers, and replace the one that is wrong`,
  );
}

export interface AntiEntropyComponents {
  readonly network: Pick<Network, 'isConnected'>;
  readonly ask: Ask;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly notary: RoundNotary;
}

/** Keeps a notary up to date with the other notaries, each of whose logs it reads from where it left off. */
export class AntiEntropy {
  readonly #parts: AntiEntropyComponents;
  /** By notary; they begin anew with the process, at the last checkpoint, since what is known is passed over by name. */
  readonly #cursors = new Map<string, number>();
  /** The decisions at which all notaries last stood at one place. */
  #agreed = 0;
  #controller = new AbortController();
  #looking: Promise<void> | undefined;
  #stopTimer: () => void = () => {};

  constructor(parts: AntiEntropyComponents) {
    this.#parts = parts;
  }

  start(): void {
    this.#controller = new AbortController();
    this.#stopTimer = every(this.#parts.clock, PULL_MS, () => {
      this.#looking = this.#look();
      return this.#looking;
    });
  }

  async stop(): Promise<void> {
    this.#stopTimer();
    this.#controller.abort();
    await this.#looking;
  }

  /** Takes in the first `log` entries of a notary's log. @throws CodedError `LOG_INCOMPLETE`, `NOTARY_BEHIND`, and what the notary refuses. */
  async catchUp(peer: string, log: number): Promise<void> {
    while (this.#cursor(peer) < log)
      if ((await this.#pullPage(peer)) === 'stuck')
        throw new CodedError<AntiEntropyErrorType>(
          { code: 'LOG_INCOMPLETE', peer, log },
          'a notary does not show all that its log names',
        );
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { notary, network, logger } = this.#parts;
    const { keys } = notary.committee;
    const others = keys.filter(peer => peer !== notary.signer.peer && network.isConnected(peer));
    try {
      await Promise.all(others.map(peer => this.#pull(peer)));
      await this.#compare(others);
    } catch (error) {
      if (this.#controller.signal.aborted) return;
      logger.debug({ code: codeOf(error), reason: messageOf(error) }, 'notaries could not be compared');
    }
  }

  async #pull(peer: string): Promise<void> {
    try {
      for (let page = 0; page < MAX_PAGES; page++) if ((await this.#pullPage(peer)) !== 'more') return;
    } catch (error) {
      if (this.#controller.signal.aborted) return;
      this.#parts.logger.debug(
        { peer, code: codeOf(error), reason: messageOf(error) },
        'a log could not be read',
      );
    }
  }

  /**
   * Asks the others whether they stand where this notary does. All that a log held when it was read is known here: with as many
   * decisions as that on both sides, they are the same ones, and must come to the same state. Where all agree, and a checkpoint is
   * due, their signatures make it.
   */
  async #compare(others: readonly string[]): Promise<void> {
    const { notary, ask } = this.#parts;
    if (notary.isWaiting) return;
    const own = notary.standing(notary.now());
    if (own.decisions === this.#agreed) return;
    const signed = [seal(checkpointKind, own, notary.signer)];
    const { decisions, state, at } = own;
    const { signal } = this.#controller;
    const each = async (peer: string): Promise<void> => {
      const answer = await ask(peer, { type: 'checkpoint', decisions, state, at }, { signal });
      if (answer.type !== 'checkpoint' || answer.decisions !== decisions) return;
      if (sameBytes(answer.state, state)) this.#takeAgreement(peer, answer.signed, signed);
      else if (this.#cursor(peer) === decisions) this.#tell(peer, differs(peer, decisions));
    };
    await Promise.allSettled(others.map(each));
    if (signed.length < notary.committee.keys.length || own.epoch !== notary.committee.epoch) return;
    this.#agreed = decisions;
    if (!notary.checkpoints.isDue(decisions, at)) return;
    await notary.checkpoints.keep(mergeSignatures(checkpointKind, signed).bytes, own);
  }

  #takeAgreement(peer: string, bytes: Uint8Array | null, signed: Opened<Checkpoint>[]): void {
    this.#parts.notary.checkpoints.faults.delete(peer);
    const other = bytes && open(checkpointKind, bytes);
    if (
      other?.signers.length === 1 &&
      other.signers[0] === peer &&
      sameBytes(other.digest, signed[0]!.digest)
    )
      signed.push(other);
  }

  /** Told, and never mended by itself: one of the two is at fault, and nothing here shows which. */
  #tell(peer: string, fault: CodedError): void {
    const { notary, logger } = this.#parts;
    if (notary.checkpoints.faults.get(peer)?.code === fault.code) return;
    notary.checkpoints.faults.set(peer, fault);
    logger.error({ ...fault.type }, fault.message);
  }

  /** Where a checkpoint has this peer's signature, all of its log before it is known here. */
  #cursor(peer: string): number {
    const known = this.#cursors.get(peer);
    if (known !== undefined) return known;
    const { last } = this.#parts.notary.checkpoints;
    const isShared = last && open(checkpointKind, last.bytes).signers.includes(peer);
    this.#cursors.set(peer, isShared ? last.height : 0);
    return this.#cursor(peer);
  }

  /** One page of a log; `stuck` where it names what the notary does not show, or what cannot be taken in now. @throws CodedError `NOTARY_BEHIND`. */
  async #pullPage(peer: string): Promise<'more' | 'done' | 'stuck'> {
    const { notary, ask } = this.#parts;
    const { signal } = this.#controller;
    const from = this.#cursor(peer);
    const log = await ask(peer, { type: 'log', from }, { signal });
    if (log.type === 'compacted') {
      this.#cursors.set(peer, this.#skipTo(log.checkpoint, peer));
      return 'more';
    }
    if (log.type !== 'log') return 'stuck';
    for (let missing = await this.#missing(log.slots); missing.length > 0; ) {
      const slots = missing.slice(0, MAX_TRAIL_PAGE);
      const answer = await ask(peer, { type: 'decisions', slots }, { signal });
      if (answer.type !== 'trail') return 'stuck';
      await Promise.all(answer.entries.map(decided => notary.do(certifyJob(decided, notary))));
      const left = await this.#missing(missing);
      if (left.length === missing.length) return 'stuck';
      missing = left;
    }
    // What waits for another decision is not here yet.
    if (!(await this.#hasAll(log.slots))) return 'stuck';
    this.#cursors.set(peer, from + log.slots.length);
    if (log.slots.length === 0) return 'stuck';
    return log.more ? 'more' : 'done';
  }

  /**
   * How far a log need not be read: this notary's own signature says that it has all of it, unless it lost its disk since.
   * @throws CodedError `NOTARY_BEHIND`.
   */
  #skipTo(bytes: Uint8Array, peer: string): number {
    const { notary } = this.#parts;
    const { body, signers } = open(checkpointKind, bytes);
    const { decisions } = notary.standing(notary.now());
    if (signers.includes(notary.signer.peer) && decisions >= body.decisions) return body.decisions;
    const behind = new CodedError<AntiEntropyErrorType>(
      { code: 'NOTARY_BEHIND', peer },
      'the other notaries have removed decisions that this one lacks: it can take no part, and has to be removed from them',
    );
    this.#tell(peer, behind);
    throw behind;
  }

  async #hasAll(slots: readonly string[]): Promise<boolean> {
    const known = await this.#parts.notary.store.slots.getMany(slots);
    return !known.includes(undefined);
  }

  async #missing(slots: readonly string[]): Promise<string[]> {
    const { notary } = this.#parts;
    const known = await notary.store.slots.getMany(slots);
    return slots.filter((slot, i) => known[i] === undefined && !notary.isParked(slot));
  }
}
