import {
  type Abortable,
  type Clock,
  deferred,
  type Logger,
  raceSignal,
  withOwnSignal,
} from '../util/index.ts';
import type { LedgerAnswer, LedgerRequest } from '../wire/index.ts';
import type { Committee } from './committee.ts';
import type { Witness } from './interface.ts';

/** Once a quorum has answered, the others get this long where their answers would still help. */
const STRAGGLER_MS = 300;

export interface SeveralComponents {
  readonly committee: Committee;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly witness?: Witness | undefined;
  /** One request to one notary, this node's own without the network. Rejects where it did not answer, or refused. */
  readonly ask: (peer: string, request: LedgerRequest, options: Abortable) => Promise<LedgerAnswer>;
}

export interface Asked {
  /** Notaries that answered. */
  readonly answered: number;
  readonly errors: readonly unknown[];
}

/** Several waits for each of seven notaries. */
const MAX_WAITS = 32;

/**
 * Asks `peers` at once and hands each answer to `take`, until that returns true (enough), all have answered, or those that have not
 * are late. What has not come by then is given up.
 */
export function askAll(
  parts: SeveralComponents,
  peers: readonly string[],
  request: LedgerRequest,
  take: (answer: LedgerAnswer, peer: string) => boolean,
  options: Abortable = {},
): Promise<Asked> {
  return withOwnSignal(MAX_WAITS, signal => askUntil(parts, peers, request, take, signal), options);
}

async function askUntil(
  { committee, clock, ask }: SeveralComponents,
  peers: readonly string[],
  request: LedgerRequest,
  take: (answer: LedgerAnswer, peer: string) => boolean,
  signal: AbortSignal,
): Promise<Asked> {
  const errors: unknown[] = [];
  const done = deferred<void>();
  let answered = 0;
  let isOver = false;
  let stopTimer = () => {};
  const each = async (peer: string): Promise<void> => {
    try {
      const answer = await ask(peer, request, { signal });
      if (isOver) return;
      answered++;
      if (take(answer, peer)) done.resolve();
    } catch (error) {
      if (!isOver) errors.push(error);
    }
    if (answered + errors.length === peers.length) done.resolve();
    else if (answered === committee.quorum) stopTimer = clock.after(STRAGGLER_MS, done.resolve);
  };
  for (const peer of peers) void each(peer);
  try {
    await raceSignal(done.promise, signal);
  } finally {
    isOver = true;
    stopTimer();
  }
  return { answered, errors };
}
