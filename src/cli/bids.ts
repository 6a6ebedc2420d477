import type { BidReply, TaskReply } from '../api/client.ts';
import { duration, plainLine, shortPeer, table } from './print.ts';

type Attempt = TaskReply['attempts'][number];

const HEAD = ['NODE', 'ASK', 'QUEUE', 'TRANSFER', 'RUN', 'RISK', 'SCORE', 'ANSWER'];

/** Enough that a millisecond shows. */
const flop = (amount: number | undefined): string => amount?.toFixed(6) ?? '-';

function answerOf({ facts, refusal, score }: BidReply): string {
  if (refusal) return `${score === null ? '' : 'refused the award: '}${refusal.code}: ${refusal.reason}`;
  if (!facts) return 'bids';
  const sure = facts.doubtful ? 'doubtful of late' : `${Math.round(facts.success * 100)} % sure`;
  return `starts in ${duration(facts.starts_in_ms)}, runs ${duration(facts.expected_ms)}, ${sure}`;
}

/** What each node answered, with all that its score is made of. */
export function bidTable(bids: readonly BidReply[], silent: readonly string[] = []): string {
  const rows = bids.map(bid => {
    const { ask, parts, score } = bid;
    const costs = [parts?.queue, parts?.transfer, parts?.run, parts?.risk, score ?? undefined];
    return [shortPeer(bid.worker), ask ?? '-', ...costs.map(flop), answerOf(bid)];
  });
  const none = HEAD.slice(1, -1).map(() => '-');
  const unheard = silent.map(peer => [shortPeer(peer), ...none, 'did not answer in time']);
  return table(HEAD, [...rows, ...unheard]);
}

const REASONS: Readonly<Record<NonNullable<Attempt['choice']>, string>> = {
  only: 'its bid was the only one',
  best: 'no other bid with a free slot was within 3 % of its score',
  equals: 'drawn among the bids within 3 % of the best',
  explore: 'drawn among all bids, as 3 of 100 awards are, so that nobody stays a stranger',
  next: 'those before it refused the award',
  first_free: 'all were busy, and it had a slot first',
};

/** Why an attempt went to its worker, and what all had answered. */
export function whyOf({ attempt, worker, price, choice, bids, silent, error }: Attempt): string {
  const reason = worker === null ? 'nobody has it' : choice === null ? 'not known any more' : REASONS[choice];
  const end = error === null ? '' : `  ${error.class}: ${plainLine(error.message)}`;
  const head = `attempt ${attempt}  worker ${shortPeer(worker)}  price ${price ?? '-'}  why: ${reason}${end}\n`;
  return head + bidTable(bids, silent).replace(/^/gm, '  ').trimEnd().concat('\n');
}
