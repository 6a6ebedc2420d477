import type { Network } from '../network/index.ts';
import {
  type Abortable,
  type Clock,
  CodedError,
  codeOf,
  hasCode,
  type Logger,
  messageOf,
  raceSignal,
  sleep,
} from '../util/index.ts';
import type { Decided, LedgerAnswer, LedgerRequest } from '../wire/index.ts';
import { type Ask, askOver, following, isNewer, learnFrom } from './ask.ts';
import type { Checkpoints } from './checkpoints.ts';
import { isFounderAlone } from './committee.ts';
import { CommitteeClient } from './committee-client.ts';
import type { Committees } from './committees.ts';
import type { Witness } from './interface.ts';
import type { LedgerDesk } from './notary-desk.ts';

export type ClientErrorType =
  | { code: 'LEDGER_UNREACHABLE'; reason: string }
  | { code: 'LEDGER_REFUSED'; remoteCode: string };

export interface ClientComponents {
  readonly network: Pick<Network, 'call'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly witness?: Witness | undefined;
}

/** The notary of this node, by its peer id: asked without the network. */
export interface LocalNotary {
  readonly peer: string;
  readonly desk: LedgerDesk;
  /** While it is one. */
  readonly checkpoints?: Checkpoints | undefined;
  /** It was one, and other nodes decide now. */
  readonly isFormer?: boolean;
  /** Why it is not well: a code and a sentence. */
  readonly fault?: string | null;
}

export interface ClientInit {
  readonly account: string;
  readonly committees: Committees;
  readonly local?: LocalNotary | undefined;
}

/** From one attempt to the next while no notary answers: the last is what a user waits after it came back. */
const RETRY_MS = [250, 500, 1000, 2000, 5000];

/** Answers that say nothing about the request: the same may be granted a moment later. */
const PASSING = [
  'QUEUE_FULL',
  'LEDGER_STOPPED',
  'INTERNAL',
  'RATE_LIMITED',
  'ACCOUNT_RATE',
  'TIMEOUT',
  'NOTARIES_FEW',
  'NOTARIES_BEHIND',
  'FUNDS_UNPROVEN',
  'WRONG_EPOCH',
];

/** True for an outcome that a later attempt may change. */
export function isPassing(code: string): boolean {
  return PASSING.includes(code) || code.startsWith('DB_');
}

export function refused(remoteCode: string, message: string): CodedError<ClientErrorType> {
  return new CodedError<ClientErrorType>(
    { code: 'LEDGER_REFUSED', remoteCode },
    `the notary refused: ${message} (${remoteCode})`,
  );
}

function unreachable(reason: string, cause?: unknown): CodedError<ClientErrorType> {
  return new CodedError<ClientErrorType>(
    { code: 'LEDGER_UNREACHABLE', reason },
    `no notary answers (${reason}): payments wait until one does`,
    { cause },
  );
}

/** Asks the notary, or, where there are several, has them decide together. */
export class LedgerClient {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #init: ClientInit;
  readonly #ask: Ask;
  #reachable = false;

  constructor(parts: ClientComponents, init: ClientInit) {
    const { committees, account, local } = init;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#init = init;
    const afar = following({ ...parts, committees, ask: askOver(parts) });
    this.#ask = (peer, request, options) =>
      peer === local?.peer
        ? raceSignal(local.desk(request, account), options.signal)
        : afar(peer, request, options);
  }

  /** Whose trails to read: of several notaries each has its own order. */
  get sources(): readonly string[] {
    return this.#init.committees.current.keys;
  }

  /** Learns of the committee that `decided` are of from the peer that showed them. @throws CodedError where it does not answer. */
  async follow(decided: readonly Decided[], peer: string, options: Abortable): Promise<void> {
    const { committees } = this.#init;
    if (isNewer(decided, committees)) await learnFrom(peer, { committees, ask: this.#ask }, options);
  }

  /** Some notary answered the last request. */
  get reachable(): boolean {
    return this.#reachable;
  }

  /**
   * One attempt at the notary, at `peer` of several, or at all of them.
   * @throws CodedError `LEDGER_UNREACHABLE`, `LEDGER_REFUSED { remoteCode }`, or the signal's reason.
   */
  async request<T extends LedgerAnswer['type']>(
    request: LedgerRequest,
    type: T,
    { signal, peer }: Abortable & { readonly peer?: string } = {},
  ): Promise<Extract<LedgerAnswer, { type: T }>> {
    const committee = this.#init.committees.current;
    const notary = peer ?? committee.keys[0]!;
    const isOne = peer !== undefined || isFounderAlone(committee);
    try {
      const answer = await (isOne
        ? this.#ask(notary, request, { signal })
        : this.#several().request(request, { signal }));
      this.#noteReach(answer);
      if (answer.type === type) return answer as Extract<LedgerAnswer, { type: T }>;
      throw unreachable(`${answer.type} came where ${type} was asked for`);
    } catch (error) {
      signal?.throwIfAborted();
      if (hasCode(error, 'LEDGER_UNREACHABLE')) throw error;
      const code = remoteCode(error, !isOne || notary === this.#init.local?.peer);
      if (peer === undefined) this.#reachable = code !== undefined && code !== 'NOTARIES_FEW';
      if (code !== undefined && !isPassing(code)) throw refused(code, messageOf(error));
      throw unreachable(code ?? codeOf(error), error);
    }
  }

  /** Of several notaries, too few may have answered: then nothing can be decided. */
  #noteReach(answer: LedgerAnswer): void {
    const outcomes = answer.type === 'outcomes' ? answer.outcomes : [];
    this.#reachable = !outcomes.some(outcome => !outcome.ok && outcome.code === 'NOTARIES_FEW');
  }

  /** Those of now: a round that began under others ends under them. */
  #several(): CommitteeClient {
    const committee = this.#init.committees.current;
    return new CommitteeClient({ committee, clock: this.#clock, logger: this.#logger, ask: this.#ask });
  }

  /** As `request`, again and again while no notary answers, until the signal. */
  async persist<T extends LedgerAnswer['type']>(
    request: LedgerRequest,
    type: T,
    signal: AbortSignal,
  ): Promise<Extract<LedgerAnswer, { type: T }>> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.request(request, type, { signal });
      } catch (error) {
        signal.throwIfAborted();
        if (!hasCode(error, 'LEDGER_UNREACHABLE')) throw error;
        await this.pause(attempt, signal);
      }
    }
  }

  /** The wait before another attempt. */
  pause(attempt: number, signal: AbortSignal): Promise<void> {
    const ms = RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)]!;
    return sleep(ms, { signal, clock: this.#clock });
  }
}

/** The code of a refusal that a notary answered; undefined where none answered. */
function remoteCode(error: unknown, isLocal: boolean): string | undefined {
  if (hasCode(error, 'REMOTE')) return String(error.type.remoteCode);
  return isLocal ? codeOf(error) : undefined;
}
