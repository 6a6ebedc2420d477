import { bytesCodec } from '../db/index.ts';
import { codeOf, messageOf } from '../util/index.ts';
import {
  claimMessage,
  idempotencyMessage,
  type LeaseRecord,
  leaseChainMessage,
  leaseRecordMessage,
  OFFER_BYTES,
  quoteRequestMessage,
  statusAnswerMessage,
  statusRequestMessage,
  type TaskRecord,
  taskOrderMessage,
  taskRecordMessage,
  verdictRequestMessage,
} from '../wire/index.ts';
import { workerChannel } from './channel.ts';
import type { TaskMarket } from './interface.ts';
import { BID_EXPIRES_MS, QUOTE_BURST, QUOTE_RATE } from './options.ts';
import type { RequesterComponents } from './requester/interface.ts';
import { Requester } from './requester/requester.ts';
import type { WorkerComponents } from './worker/interface.ts';
import { createWorker, type Worker } from './worker/worker.ts';

export type MarketComponents = Omit<WorkerComponents, 'leases' | 'chain' | 'claim'> &
  Omit<RequesterComponents, 'tasks' | 'orders' | 'receipts' | 'idempotency' | 'worker'>;

/** Both sides of the market on one node. */
export interface Market {
  /** The owner's tasks. */
  readonly tasks: TaskMarket;
  /** Takes up what an earlier run left, then serves peers. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Offers a second from one peer: a requester with 16 auctions at a time makes far fewer. */
const OFFER_LIMITS = { maxBytes: 4096, rate: 500, burst: 1_000, deadlineMs: 5_000 };
/** Each checks a signature; a worker claims once for each task that it runs. */
const CLAIM_LIMITS = { maxBytes: claimMessage.maxBytes, rate: 100, burst: 500, deadlineMs: 5_000 };
/** Twice what an honest node asks for. The deadline is what a user waits for a node that is away, and two seconds more. */
const QUOTE_LIMITS = {
  maxBytes: quoteRequestMessage.maxBytes,
  rate: 2 * QUOTE_RATE,
  burst: 2 * QUOTE_BURST,
  deadlineMs: 3_000,
};
const STATUS_LIMITS = { maxBytes: 1024, rate: 100, burst: 500, deadlineMs: 5_000 };
/** A dispute takes two or three questions, each some signatures to check. */
const VERDICT_LIMITS = { maxBytes: verdictRequestMessage.maxBytes, rate: 5, burst: 50, deadlineMs: 5_000 };
/** Messages a second on one task stream: chunks of 64 KiB make 64 MiB/s. */
const TASK_LIMITS = { maxBytes: 4 * 2 ** 20, rate: 1_000, burst: 5_000, deadlineMs: 30_000 };

/** Nonsense that no honest node sends: ten of these in a row, and the peer is banned for a while. */
const BREACHES =
  /^(WIRE_|OFFER_INVALID$|BID_INVALID$|AWARD_|PROTOCOL$|ARBITRATION_INVALID$|CERTIFICATE_INVALID$)/;
const BREACH_COST = 10;
/** A stale offer may come of a wrong clock; a replay of many is noticed. */
const STALE_COST = 1;

export function createMarket(components: MarketComponents): Market {
  const { db, network, signer } = components;
  const worker = createWorker({
    ...components,
    claim: async (peer, bytes, options) =>
      peer === signer.peer
        ? requester.claimArrived(bytes, peer)
        : network.call(peer, 'claim', bytes, options),
    leases: db.repository<LeaseRecord>('leases', leaseRecordMessage),
    chain: db.repository('lease-chain', leaseChainMessage),
  });
  const requester = new Requester({
    ...components,
    worker,
    tasks: db.repository<TaskRecord>('tasks', taskRecordMessage),
    orders: db.repository('task-orders', taskOrderMessage),
    receipts: db.repository('receipts', bytesCodec),
    idempotency: db.repository('idempotency', idempotencyMessage),
  });
  return {
    tasks: requester,
    async start() {
      await worker.start();
      serve(components, worker, requester);
      await requester.start();
    },
    async stop() {
      await requester.stop();
      await worker.stop();
    },
  };
}

/** What peers may ask of this node. */
function serve({ network, logger }: MarketComponents, worker: Worker, requester: Requester): void {
  /** What is wrong beyond doubt costs its sender. */
  async function judged<T>(from: string, fn: () => T | Promise<T>): Promise<T> {
    try {
      return await fn();
    } catch (error) {
      const code = codeOf(error);
      if (BREACHES.test(code)) network.report(from, code, BREACH_COST);
      if (code === 'OFFER_STALE') network.report(from, code, STALE_COST);
      throw error;
    }
  }

  network.serve('offer', OFFER_LIMITS, (bytes, from) =>
    judged(from, () => worker.offer(bytes, from).encoded),
  );
  network.serve('bid', OFFER_LIMITS, (bytes, from) =>
    judged(from, () => {
      requester.bidArrived(bytes, from);
      return new Uint8Array();
    }),
  );
  network.serve('place', OFFER_LIMITS, (bytes, from) => judged(from, () => worker.place(bytes, from)));
  network.serve('claim', CLAIM_LIMITS, (bytes, from) =>
    judged(from, () => requester.claimArrived(bytes, from)),
  );
  network.serve('quote', QUOTE_LIMITS, (bytes, from) => judged(from, () => worker.quote(bytes, from)));
  network.serve('status', STATUS_LIMITS, async (bytes, from) => {
    const ref = await judged(from, () => statusRequestMessage.decode(bytes));
    const asWorker = await worker.statusOf(ref, from);
    const state = asWorker === 'unknown' ? await requester.statusOf(ref, from) : asWorker;
    return statusAnswerMessage.encode({ state });
  });
  network.serve('verdict', VERDICT_LIMITS, (bytes, from) => judged(from, () => worker.judge(bytes, from)));
  network.handle('task', TASK_LIMITS, stream =>
    judged(stream.peer, () => worker.serve(workerChannel(stream))),
  );
  network.subscribe('offer/all', OFFER_BYTES, async bytes => {
    const { verdict, answer } = worker.gossiped(bytes);
    if (answer)
      network
        .call(answer.to, 'bid', answer.encoded, { signal: AbortSignal.timeout(BID_EXPIRES_MS) })
        .catch(error =>
          logger.debug({ code: codeOf(error), error: messageOf(error) }, 'a bid did not arrive'),
        );
    return verdict;
  });
}
