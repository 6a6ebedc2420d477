import { type Abortable, CodedError, codeOf, hasCode, messageOf, TokenBucket } from '../../util/index.ts';
import { type QuoteAnswer, quoteAnswerMessage, quoteRequestMessage, type Refusal } from '../../wire/index.ts';
import type { BidView, TaskRequest } from '../interface.ts';
import { QUOTE_BURST, QUOTE_RATE } from '../options.ts';
import { costOf, factsOf } from '../score.ts';
import { askedFor, isPayable, isWanted } from './asking.ts';
import type { RequesterComponents } from './interface.ts';
import { requireTakeable } from './submit.ts';

const no = (code: string, reason: string): Refusal => ({ code, reason, permanent: false });

/** What nodes would do with a task that nobody has submitted. */
export class Quotes {
  readonly #components: RequesterComponents;
  readonly #bucket: TokenBucket;

  constructor(components: RequesterComponents) {
    this.#components = components;
    this.#bucket = new TokenBucket(QUOTE_RATE, QUOTE_BURST, components.clock);
  }

  /** Asks everyone at once; who does not answer within the protocol's own deadline has refused. @throws CodedError `RATE_LIMITED`, and what `submit` throws. */
  async ask(request: TaskRequest, options: Abortable = {}): Promise<BidView[]> {
    await requireTakeable(this.#components, request);
    if (!this.#bucket.take())
      throw new CodedError(
        { code: 'RATE_LIMITED' },
        `a node asks for ${QUOTE_RATE} quotes a second: wait a moment, then ask again`,
      );
    const { network, signer } = this.#components;
    const asked = quoteRequestMessage.encode(askedFor(this.#components, request));
    const nodes = [signer.peer, ...network.peers().map(({ peer }) => peer)];
    const views = await Promise.all(nodes.map(peer => this.#askOne(peer, request, asked, options)));
    options.signal?.throwIfAborted();
    return views.sort(
      (a, b) => (a.score ?? Number.POSITIVE_INFINITY) - (b.score ?? Number.POSITIVE_INFINITY),
    );
  }

  async #askOne(
    peer: string,
    { policy }: TaskRequest,
    asked: Uint8Array,
    options: Abortable,
  ): Promise<BidView> {
    const { network, worker, signer, logger } = this.#components;
    const isSelf = peer === signer.peer;
    if (!isWanted(policy, peer) || (isSelf && policy.avoidSelf))
      return refusedBy(peer, no('UNWANTED', 'the task is not for this node: see its avoid and require'));
    try {
      const answer = isSelf ? worker.quote(asked, peer) : await network.call(peer, 'quote', asked, options);
      return this.#viewOf(peer, quoteAnswerMessage.decode(answer), policy.payment);
    } catch (error) {
      if (/^(WIRE_|BID_INVALID$)/.test(codeOf(error))) network.report(peer, 'bad_quote', 10);
      logger.debug({ peer, code: codeOf(error), error: messageOf(error) }, 'no quote');
      return refusedBy(peer, whyNone(error));
    }
  }

  #viewOf(worker: string, answer: QuoteAnswer, maxPrice: bigint): BidView {
    if (answer.type === 'refusal') return refusedBy(worker, answer.refusal);
    const { experience, signer, options } = this.#components;
    if (!isPayable(answer.ask, maxPrice, this.#components))
      throw new CodedError({ code: 'BID_INVALID' }, 'the quote asks what cannot be locked');
    const facts = factsOf(answer, experience.of(worker), {
      isSelf: worker === signer.peer,
      secondValue: options.secondValue,
      isDoubtful: experience.isDoubtful(worker),
    });
    return {
      worker,
      ask: answer.ask,
      etaMs: answer.queueMs + answer.etaMs,
      score: costOf(facts),
      refusal: null,
      facts,
    };
  }
}

function refusedBy(worker: string, refusal: Refusal): BidView {
  return { worker, ask: null, etaMs: null, score: null, refusal, facts: null };
}

function whyNone(error: unknown): Refusal {
  if (hasCode(error, 'PROTOCOL_UNSUPPORTED')) return no('NO_QUOTES', 'knows no quotes: its duxnode is older');
  if (hasCode(error, 'TIMEOUT')) return no('NO_ANSWER', 'did not answer in time');
  return no('NO_ANSWER', `gave no answer that can be read (${codeOf(error)})`);
}
