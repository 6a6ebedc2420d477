import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type WorkerChannel, workerChannel } from '../../src/market/channel.ts';
import { createIdentity, createNetwork, type Network } from '../../src/network/index.ts';
import type { DuxNode } from '../../src/node/node.ts';
import { noMetrics, silentLogger, systemClock } from '../../src/util/index.ts';
import {
  acceptanceKind,
  awardKind,
  type Offer,
  type Opened,
  offerAnswerMessage,
  offerKind,
  open,
  placeAnswerMessage,
  type Signer,
  seal,
  signerFromSeed,
} from '../../src/wire/index.ts';
import { bidOf } from '../fixtures/bids.ts';
import { ended, taskRequest } from '../fixtures/nodes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { withNet } from './support.ts';

const test = suite('market: liars');

const HONEST = 6;
/** 220 in the figure of decision 0046; each is an auction among ten nodes in one process. */
const TASKS = Number(process.env.TASKS ?? 100);
/** In which everybody may be met. */
const FIRST = 20;
const AT_ONCE = 4;

/** What a liar does with an award that its bid has won. */
type Lie = (channel: WorkerChannel, award: Uint8Array, signer: Signer) => Promise<void>;

const LIES: Readonly<Record<string, Lie>> = {
  // says of its capacity what is not so
  'has no room': channel =>
    channel.send({
      type: 'refused',
      refusal: { code: 'SLOT_TAKEN', reason: 'another task was faster', permanent: false },
    }),
  'never accepts': channel => channel.close(),
  async 'accepts and never answers'(channel, bytes, signer) {
    const { body, digest } = open(awardKind, bytes);
    const { net, taskId, replica, attempt, requester, price, termsHash } = body;
    const acceptance = seal(
      acceptanceKind,
      {
        ...{ net, taskId, replica, attempt, requester, worker: signer.peer, price, termsHash },
        ...{ awardHash: digest, awardSeq: null, previous: null, acceptedAt: Date.now() },
      },
      signer,
    );
    await channel.send({ type: 'accepted', acceptance: acceptance.bytes });
  },
};

/** The best bid that there can be. */
function bidOn(offer: Opened<Offer>, signer: Signer): Uint8Array {
  const { bytes } = bidOf(offer, signer, { ask: 0n });
  return offerAnswerMessage.encode({ type: 'bid', bid: bytes });
}

interface Liar {
  readonly network: Network;
  /** Awards that it got. */
  awards: number;
}

const LIMITS = { maxBytes: 4 * 2 ** 20, rate: 1_000, burst: 5_000, deadlineMs: 30_000 };

async function liar(node: DuxNode, name: string, lie: Lie): Promise<Liar> {
  const identity = await createIdentity();
  const signer = signerFromSeed(identity.seed);
  const network = createNetwork(
    { logger: silentLogger, clock: systemClock, metrics: noMetrics },
    {
      privateKey: identity.privateKey,
      networkId: node.genesis.networkId,
      datastoreDir: null,
      listen: [`/memory/liar-${process.pid}-${name.replaceAll(' ', '-')}`],
      bootstrap: [node.network.addresses()[0] as string],
      transport: 'memory',
      genesis: node.genesis.bytes,
    },
  );
  const found: Liar = { network, awards: 0 };
  network.serve('offer', LIMITS, async bytes => bidOn(open(offerKind, bytes), signer));
  network.serve('place', LIMITS, async () => placeAnswerMessage.encode({ placed: true }));
  network.handle('task', LIMITS, async stream => {
    const channel = workerChannel(stream);
    const message = await channel.receive();
    if (message?.type !== 'award') return;
    found.awards++;
    await lie(channel, message.award, signer);
    // what else its requester says is heard until it gives up
    while (await channel.receive());
  });
  await network.start();
  await waitFor(() => node.network.isConnected(identity.peer), `the one who ${name} to be let in`);
  return found;
}

test('whoever bids best and does not keep it gets less than 5 % of the awards, once it is known', () =>
  withNet(
    [{ market: { workerEnabled: false } }, ...Array.from({ length: HONEST }, () => ({}))],
    async net => {
      const [node] = net.nodes as [DuxNode];
      const liars = await Promise.all(Object.entries(LIES).map(([name, lie]) => liar(node, name, lie)));
      try {
        const one = async () => {
          const { taskId } = await node.market.tasks.submit(taskRequest({ payment: 0n, maxTotal: 0n }));
          assert.is((await ended(node, taskId)).state, 'completed');
        };
        const many = async (count: number) => {
          let left = count;
          const some = async () => {
            while (left-- > 0) await one();
          };
          await Promise.all(Array.from({ length: AT_ONCE }, some));
        };
        const taken = () => liars.reduce((sum, { awards }) => sum + awards, 0);
        await many(FIRST);
        const before = taken();
        assert.ok(before > 0, 'as strangers they win awards');
        await many(TASKS - FIRST);
        const lost = taken() - before;
        assert.ok(lost < 0.05 * (TASKS - FIRST + lost), `${lost} awards went to liars`);
      } finally {
        for (const { network } of liars) await network.stop();
      }
    },
  ));

test.run();
