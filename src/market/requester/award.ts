import { CodedError, withDeadline } from '../../util/index.ts';
import {
  type Acceptance,
  type Award,
  acceptanceKind,
  awardKind,
  type Opened,
  open,
  orderKind,
  type Refusal,
  type RequesterMessage,
  sameBytes,
  seal,
  type TaskOrder,
  termsHash,
} from '../../wire/index.ts';
import { localChannels, type RequesterChannel, requesterChannel } from '../channel.ts';
import { AWARD_TIMEOUT_MS } from '../options.ts';
import type { AuctionResult, ScoredBid } from './auction.ts';
import type { RequesterComponents } from './interface.ts';

export type AwardAnswer =
  | { readonly accepted: true; readonly acceptance: Opened<Acceptance>; readonly channel: RequesterChannel }
  | { readonly accepted: false; readonly refusal: Refusal };

/** The requester's choice of one bid, signed. */
export function makeAward(
  { genesis, signer, clock }: RequesterComponents,
  { offer }: AuctionResult,
  { bid }: ScoredBid,
  order: TaskOrder,
): Opened<Award> {
  const { taskId, replica, attempt, terms } = offer.body;
  return seal(
    awardKind,
    {
      net: genesis.net,
      taskId,
      replica,
      attempt,
      requester: signer.peer,
      worker: bid.body.worker,
      price: bid.body.ask,
      offerHash: offer.digest,
      bidHash: bid.digest,
      specHash: open(orderKind, order.order).body.saltedSpecHash,
      termsHash: termsHash(terms),
      awardedAt: clock.now(),
    },
    signer,
  );
}

/** A stream to the worker of a task: over the network, or within this process for the own node. */
export async function openTaskStream(
  { network, worker, signer, logger }: RequesterComponents,
  peer: string,
  { signal }: { signal: AbortSignal },
): Promise<RequesterChannel> {
  if (peer !== signer.peer) return requesterChannel(await network.open(peer, 'task', { signal }));
  const ends = localChannels(signer.peer);
  worker.serve(ends.worker).then(
    () => ends.worker.close(),
    error => {
      logger.debug({ error: String(error) }, 'the own worker ended a task stream');
      ends.worker.abort(error);
    },
  );
  return ends.requester;
}

/** The stream is opened while the award goes to disk: it is sent when both are done. */
async function openOnceWritten(
  components: RequesterComponents,
  peer: string,
  { signal, written }: { signal: AbortSignal; written: Promise<void> },
): Promise<RequesterChannel> {
  const [opened, kept] = await Promise.allSettled([openTaskStream(components, peer, { signal }), written]);
  if (opened.status === 'rejected') throw opened.reason;
  if (kept.status === 'fulfilled') return opened.value;
  opened.value.abort(new CodedError({ code: 'NOT_WRITTEN' }, 'the award could not be written'));
  throw kept.reason;
}

/**
 * Sends the award, once it is `written`, and waits for the worker's word. A refusal is an answer; silence, nonsense or a broken stream throws, and
 * then the worker may or may not have accepted: the next try needs a new attempt.
 */
export async function sendAward(
  components: RequesterComponents,
  award: Opened<Award>,
  rest: Omit<Extract<RequesterMessage, { type: 'award' }>, 'type' | 'award'>,
  { signal, written }: { signal: AbortSignal; written: Promise<void> },
): Promise<AwardAnswer> {
  const { clock } = components;
  return withDeadline(
    AWARD_TIMEOUT_MS,
    'the award',
    async signal => {
      const channel = await openOnceWritten(components, award.body.worker, { signal, written });
      try {
        await channel.send({ type: 'award', award: award.bytes, ...rest }, { signal });
        const answer = await channel.receive({ signal });
        if (answer?.type === 'refused') {
          await channel.close();
          return { accepted: false, refusal: answer.refusal };
        }
        if (answer?.type !== 'accepted')
          throw new CodedError({ code: 'PROTOCOL' }, 'the worker answered an award with something else');
        return { accepted: true, acceptance: checkAcceptance(answer.acceptance, award), channel };
      } catch (error) {
        channel.abort(error instanceof Error ? error : new Error(String(error)));
        throw error;
      }
    },
    { signal, clock },
  );
}

function checkAcceptance(bytes: Uint8Array, award: Opened<Award>): Opened<Acceptance> {
  const acceptance = open(acceptanceKind, bytes);
  const { body } = acceptance;
  const wanted = award.body;
  const fits =
    acceptance.signers.includes(wanted.worker) &&
    body.worker === wanted.worker &&
    body.requester === wanted.requester &&
    body.taskId === wanted.taskId &&
    body.replica === wanted.replica &&
    body.attempt === wanted.attempt &&
    body.price === wanted.price &&
    sameBytes(body.net, wanted.net) &&
    sameBytes(body.awardHash, award.digest) &&
    sameBytes(body.termsHash, wanted.termsHash);
  if (!fits) throw new CodedError({ code: 'ACCEPTANCE_INVALID' }, 'the acceptance is not of this award');
  return acceptance;
}
