import type { Network } from '../network/index.ts';
import { type Abortable, type Clock, codeOf, hasCode, type Logger, withDeadline } from '../util/index.ts';
import {
  type Decided,
  type LedgerAnswer,
  type LedgerRequest,
  ledgerAnswerMessage,
  ledgerRequestMessage,
} from '../wire/index.ts';
import { peekEpoch } from './certificates.ts';
import type { Committees } from './committees.ts';
import { LEDGER_PROTOCOL } from './notary-server.ts';

/** A notary that takes longer than this to sync a batch has lost its disk or its way to us. */
const REQUEST_MS = 10_000;

/** One request to one notary. Rejects where it did not answer, or refused. */
export type Ask = (peer: string, request: LedgerRequest, options: Abortable) => Promise<LedgerAnswer>;

export function askOver({ network, clock }: { network: Pick<Network, 'call'>; clock: Clock }): Ask {
  return (peer, request, { signal }) =>
    withDeadline(
      REQUEST_MS,
      'a request to a notary',
      async deadline => {
        const bytes = ledgerRequestMessage.encode(request);
        return ledgerAnswerMessage.decode(
          await network.call(peer, LEDGER_PROTOCOL, bytes, { signal: deadline }),
        );
      },
      { signal, clock },
    );
}

/** Asks `peer` for changes of the committee that this node does not know. Rejects as `ask`. */
export async function learnFrom(
  peer: string,
  { committees, ask }: { committees: Committees; ask: Ask },
  options: Abortable,
): Promise<void> {
  for (let before = -1; before < committees.current.epoch; ) {
    before = committees.current.epoch;
    const answer = await ask(peer, { type: 'committees', from: before + 1 }, options);
    if (answer.type === 'decided') await committees.take(answer.decided);
  }
}

/** True where one of `decided` claims an epoch that this node does not know of. */
export function isNewer(decided: readonly Decided[], { current }: Committees): boolean {
  return decided.some(one => (peekEpoch(one) ?? 0) > current.epoch);
}

function decisionsIn(answer: LedgerAnswer): Decided[] {
  if (answer.type === 'trail') return answer.entries;
  if (answer.type === 'decided') return answer.decided;
  if (answer.type === 'standing') return [answer.decided];
  const outcomes = answer.type === 'round' || answer.type === 'outcomes' ? answer.outcomes : [];
  return outcomes.flatMap(outcome => ('decided' in outcome ? [outcome.decided] : []));
}

function isOver(answer: LedgerAnswer): boolean {
  const outcomes = answer.type === 'round' || answer.type === 'outcomes' ? answer.outcomes : [];
  return outcomes.some(outcome => 'code' in outcome && outcome.code === 'WRONG_EPOCH');
}

/** As `ask`; where the answer tells of a committee that this node does not know, it is learned before the answer is given out. */
export function following(parts: { committees: Committees; ask: Ask; logger: Logger }): Ask {
  const { committees, ask, logger } = parts;
  const learn = async (peer: string, options: Abortable): Promise<void> => {
    try {
      await learnFrom(peer, parts, options);
    } catch (error) {
      logger.debug({ peer, code: codeOf(error) }, 'no change of the committee was learned');
    }
  };
  return async (peer, request, options) => {
    try {
      const answer = await ask(peer, request, options);
      if (isOver(answer) || isNewer(decisionsIn(answer), committees)) await learn(peer, options);
      return answer;
    } catch (error) {
      if (hasCode(error, 'REMOTE') && error.type.remoteCode === 'WRONG_EPOCH') await learn(peer, options);
      throw error;
    }
  };
}
