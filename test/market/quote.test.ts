import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { taskOf } from '../../src/api/task-views.ts';
import { type BidView, defaultMarketOptions } from '../../src/market/index.ts';
import type { RequesterComponents } from '../../src/market/requester/interface.ts';
import { Quotes } from '../../src/market/requester/quotes.ts';
import type { DuxNode } from '../../src/node/node.ts';
import { NO_EXPERIENCE } from '../../src/reputation/index.ts';
import { createMemoryExecutor } from '../../src/sandbox/index.ts';
import { CodedError, silentLogger, systemClock } from '../../src/util/index.ts';
import { leaseRecordMessage, quoteAnswerMessage, signerFromSeed } from '../../src/wire/index.ts';
import { ended, FLOP, type TestNodeInit, taskRequest } from '../fixtures/nodes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { codeThrown, openEscrows, withNet } from './support.ts';

const test = suite('market: quotes');

const noImage: TestNodeInit = {
  executor() {
    const executor = createMemoryExecutor({ clock: systemClock }, { images: [] });
    return { ...executor, limits: () => ({ ...executor.limits(), pullsImages: false }) };
  },
};

const net: TestNodeInit[] = [
  {},
  { market: { price: FLOP } },
  { market: { memoryBytes: 32 * 2 ** 20 } },
  { market: { price: 6n * FLOP } },
  noImage,
  {},
];
const [SELF, FAIR, SMALL, DEAR, BARE, DRAINING] = [0, 1, 2, 3, 4, 5];

const peerOf = (nodes: readonly DuxNode[], index: number) => (nodes[index] as DuxNode).identity.peer;
const reasons = (views: readonly BidView[]) =>
  Object.fromEntries(
    views.flatMap(({ worker, refusal }) => (refusal ? [[worker, `${refusal.code}: ${refusal.reason}`]] : [])),
  );

test('a quote names the price of each node that would bid, and the true reason of each that would not; the auction then goes like that', () =>
  withNet(net, async ({ nodes }) => {
    const requester = nodes[SELF] as DuxNode;
    await nodes[DRAINING]?.market.tasks.drain();
    let quotes: readonly BidView[] = [];
    const askAll = async () => {
      quotes = await requester.market.tasks.quote(taskRequest());
      return quotes.every(({ refusal }) => refusal?.code !== 'NO_ANSWER');
    };
    await waitFor(askAll, 'all nodes to answer', 30_000);
    const bids = quotes.filter(({ refusal }) => refusal === null);
    assert.equal(
      bids.map(({ worker, ask, facts }) => [worker, ask, facts?.queueMs]),
      [[peerOf(nodes, FAIR), FLOP, 0]],
    );
    const others = {
      [peerOf(nodes, SMALL)]: 'TOO_LARGE: lends 4 CPUs, 32 MiB of memory, 4096 MiB of disk',
      [peerOf(nodes, DEAR)]: 'PRICE: asks for more than is offered',
      [peerOf(nodes, BARE)]: 'NO_IMAGE: has no python:3.9-slim, and pulls none',
      [peerOf(nodes, DRAINING)]: 'DRAINING: this node is ending its work',
    };
    const unwanted = 'UNWANTED: the task is not for this node: see its avoid and require';
    assert.equal(reasons(quotes), { ...others, [requester.identity.peer]: unwanted });
    // it cost nobody anything
    assert.is(requester.settlement.balance().locked, 0n);
    assert.is(await openEscrows(requester), 0);
    assert.equal((await requester.market.tasks.list({ limit: 10 })).tasks, []);
    for (const { db } of nodes)
      for await (const _ of db.repository('leases', leaseRecordMessage).iterate({ limit: 1 }))
        assert.unreachable('a quote left a lease');

    const { taskId } = await requester.market.tasks.submit(taskRequest());
    const task = await ended(requester, taskId);
    assert.is(task.state, 'completed');
    const [attempt] = taskOf(task).attempts;
    // on a busy machine not all answer within the bid window
    const late = (attempt?.silent ?? []).map(peer => [peer, others[peer]]);
    const heard = reasons(task.attempts[0]?.bids ?? []);
    assert.equal({ ...heard, ...Object.fromEntries(late) }, others);
    assert.is(attempt?.worker, peerOf(nodes, FAIR));
    assert.is(attempt?.choice, 'only');
    const { score, parts } = attempt?.bids[0] ?? {};
    const sum = Object.values(parts ?? {}).reduce((total, part) => total + part, 0);
    assert.ok(sum > 1 && Math.abs(sum - (score ?? 0)) < 1e-8, 'the parts are kept, and add up');
  }));

test('quotes heed whom a task wants, refuse what submit would, and are asked for only so often', () =>
  withNet([{}, {}], async ({ nodes }) => {
    const { tasks } = (nodes[0] as DuxNode).market;
    const [own, other] = nodes.map(node => node.identity.peer) as [string, string];
    const ask = (change: Parameters<typeof taskRequest>[0]) => tasks.quote(taskRequest(change));
    const bidders = (views: readonly BidView[]) =>
      views.flatMap(({ worker, ask, refusal }) => (refusal ? [] : [[worker, ask]]));
    assert.equal(bidders(await ask({ avoidSelf: false })), [
      [own, 0n],
      [other, 5n * FLOP],
    ]);
    assert.equal(bidders(await ask({ avoidPeers: [other] })), []);
    assert.equal(bidders(await ask({ avoidSelf: false, requirePeers: [own] })), [[own, 0n]]);
    assert.equal(bidders(await ask({ payment: 0n, maxTotal: 0n })), [[other, 0n]]);

    const dear = 10n ** 15n;
    assert.is(await codeThrown(ask({ payment: dear, maxTotal: dear })), 'FUNDS_INSUFFICIENT');
    assert.is(await codeThrown(ask({ payment: 1n, maxTotal: 1n })), 'AMOUNT_SMALL');

    const asked = await Promise.all(Array.from({ length: 60 }, () => codeThrown(ask({}))));
    assert.ok(asked.slice(0, 30).every(code => code === 'nothing was thrown'));
    assert.is(asked.at(-1), 'RATE_LIMITED');
    assert.is(nodes[1]?.network.peers()[0]?.score, 100, 'no peer minds');
  }));

const [self, peer] = [1, 2].map(fill => signerFromSeed(new Uint8Array(32).fill(fill)).peer) as [
  string,
  string,
];

/** What is made of one peer's answer. */
async function quoteOf(answer: () => Promise<Uint8Array>) {
  const reports: string[] = [];
  const quotes = new Quotes({
    network: { peers: () => [{ peer }], call: answer, report: (from: string) => reports.push(from) },
    signer: { peer: self },
    genesis: { genesis: { minAmount: 10n } },
    settlement: {
      funds: () => null,
      spending: () => ({ perDay: null }),
      balance: () => ({ free: FLOP, locked: 0n }),
    },
    experience: { of: () => NO_EXPERIENCE, isDoubtful: () => false },
    clock: systemClock,
    logger: silentLogger,
    options: defaultMarketOptions,
  } as unknown as RequesterComponents);
  const request = taskRequest({ payment: 100n, maxTotal: 100n, avoidSelf: true, requirePeers: [peer] });
  const view = (await quotes.ask(request)).find(({ worker }) => worker === peer);
  return { code: view?.refusal?.code ?? 'BID', reports };
}

const bid = (ask: bigint) => async () =>
  quoteAnswerMessage.encode({
    type: 'bid',
    ask,
    queuePosition: 0,
    queueMs: 0,
    etaMs: 1,
    imageCached: true,
    bytesMissing: 0,
  });
const fails = (code: string) => async () => {
  throw new CodedError({ code }, '');
};

const answers: [what: string, answer: () => Promise<Uint8Array>, code: string, isReported: boolean][] = [
  ['a sound one', bid(100n), 'BID', false],
  ['one above the price', bid(101n), 'NO_ANSWER', true],
  ['one below what can be locked', bid(9n), 'NO_ANSWER', true],
  ['nonsense', async () => Buffer.from('nonsense'), 'NO_ANSWER', true],
  ['none in time', fails('TIMEOUT'), 'NO_ANSWER', false],
  ['that of an older node', fails('PROTOCOL_UNSUPPORTED'), 'NO_QUOTES', false],
];

for (const [what, answer, code, isReported] of answers)
  test(`an answer to a quote: ${what}`, async () => {
    assert.equal(await quoteOf(answer), { code, reports: isReported ? [peer] : [] });
  });

test.run();
