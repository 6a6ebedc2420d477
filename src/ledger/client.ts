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
  withDeadline,
} from '../util/index.ts';
import {
  type LedgerAnswer,
  type LedgerRequest,
  ledgerAnswerMessage,
  ledgerRequestMessage,
} from '../wire/index.ts';
import type { Committee } from './certificates.ts';
import { CommitteeClient } from './committee-client.ts';
import type { Witness } from './interface.ts';
import type { LedgerDesk } from './notary-desk.ts';
import { LEDGER_PROTOCOL } from './notary-server.ts';

export type ClientErrorType =
  | { code: 'LEDGER_UNREACHABLE'; reason: string }
  | { code: 'LEDGER_REFUSED'; remoteCode: string };

export interface ClientComponents {
  readonly network: Pick<Network, 'call'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly witness?: Witness | undefined;
}

export interface ClientInit {
  readonly account: string;
  readonly committee: Committee;
  /** The notary of this node: asked without the network. */
  readonly desk?: LedgerDesk | undefined;
}

/** A notary that takes longer than this to sync a batch has lost its disk or its way to us. */
const REQUEST_TIMEOUT_MS = 10_000;
/** From one attempt to the next while no notary answers: the last is what a user waits after it came back. */
const RETRY_MS = [250, 500, 1000, 2000, 5000];

/** Answers that say nothing about the request: the same may be granted a moment later. */
const PASSING = [
  'QUEUE_FULL',
  'LEDGER_STOPPED',
  'INTERNAL',
  'RATE_LIMITED',
  'TIMEOUT',
  'NOTARIES_FEW',
  'NOTARIES_BEHIND',
  'FUNDS_UNPROVEN',
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
  readonly #network: Pick<Network, 'call'>;
  readonly #clock: Clock;
  readonly #init: ClientInit;
  readonly #several: CommitteeClient | undefined;
  #reachable = false;

  constructor({ network, clock, logger, witness }: ClientComponents, init: ClientInit) {
    this.#network = network;
    this.#clock = clock;
    this.#init = init;
    const { committee } = init;
    const ask = (peer: string, request: LedgerRequest, { signal }: Abortable) =>
      this.#ask(peer, request, signal);
    if (committee.keys.length > 1)
      this.#several = new CommitteeClient({ committee, clock, logger, ask, witness });
  }

  /** Whose trails to read: of several notaries each has its own order. */
  get sources(): readonly string[] {
    return this.#init.committee.keys;
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
    const { committee } = this.#init;
    const notary = peer ?? committee.keys[0]!;
    const several = peer === undefined ? this.#several : undefined;
    try {
      const answer = await (several
        ? several.request(request, { signal })
        : this.#ask(notary, request, signal));
      this.#noteReach(answer);
      if (answer.type === type) return answer as Extract<LedgerAnswer, { type: T }>;
      throw unreachable(`${answer.type} came where ${type} was asked for`);
    } catch (error) {
      signal?.throwIfAborted();
      if (hasCode(error, 'LEDGER_UNREACHABLE')) throw error;
      const code = remoteCode(error, several !== undefined || this.#isOwn(notary));
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

  /** The notary of this node: the only one, or this one of several. */
  #isOwn(peer: string): boolean {
    const { desk, account } = this.#init;
    return desk !== undefined && (!this.#several || peer === account);
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

  #ask(peer: string, request: LedgerRequest, signal: AbortSignal | undefined): Promise<LedgerAnswer> {
    const { desk, account } = this.#init;
    if (desk && this.#isOwn(peer)) return raceSignal(desk(request, account), signal);
    return withDeadline(
      REQUEST_TIMEOUT_MS,
      'a request to a notary',
      async deadline => {
        const bytes = ledgerRequestMessage.encode(request);
        return ledgerAnswerMessage.decode(
          await this.#network.call(peer, LEDGER_PROTOCOL, bytes, { signal: deadline }),
        );
      },
      { signal, clock: this.#clock },
    );
  }
}

/** The code of a refusal that a notary answered; undefined where none answered. */
function remoteCode(error: unknown, isLocal: boolean): string | undefined {
  if (hasCode(error, 'REMOTE')) return String(error.type.remoteCode);
  return isLocal ? codeOf(error) : undefined;
}
