import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createIdentity, createNetwork } from '../../src/network/index.ts';
import { codeOf, noMetrics, silentLogger, systemClock } from '../../src/util/index.ts';
import { signerFromSeed, statusRequestMessage } from '../../src/wire/index.ts';
import { ended, TestNet, taskRequest } from '../fixtures/nodes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { ref } from '../wire/samples.ts';
import { type Attack, attacks, type Hostile } from './peer-attacks.ts';

const test = suite('attacks: hostile peers');

/** More of one breach than any score survives. */
const ENOUGH = 30;

let names = 0;

async function join(net: TestNet): Promise<Hostile> {
  const [node] = net.nodes;
  if (!node) throw new Error('a node was started');
  const identity = await createIdentity();
  const network = createNetwork(
    { logger: silentLogger, clock: systemClock, metrics: noMetrics },
    {
      privateKey: identity.privateKey,
      networkId: node.genesis.networkId,
      datastoreDir: null,
      listen: [`/memory/hostile-${process.pid}-${++names}`],
      bootstrap: [node.network.addresses()[0] as string],
      transport: 'memory',
      genesis: node.genesis.bytes,
    },
  );
  await network.start();
  await waitFor(() => node.network.isConnected(identity.peer), 'the hostile peer to be let in');
  await waitFor(() => network.isConnected(node.identity.peer), 'the hostile peer to see its victim');
  return { network, signer: signerFromSeed(identity.seed) };
}

/** Counts what one node counts, by reason. */
function counting() {
  const breaches = new Map<string, number>();
  let bans = 0;
  return {
    breaches,
    bans: () => bans,
    metrics: {
      ...noMetrics,
      count(name: string, labels?: Readonly<Record<string, string>>) {
        if (name === 'network_bans_total') bans++;
        if (name !== 'network_breaches_total') return;
        const reason = labels?.reason ?? '';
        breaches.set(reason, (breaches.get(reason) ?? 0) + 1);
      },
    },
  };
}

async function codeOfSending(sending: Promise<unknown>): Promise<string> {
  try {
    await sending;
    return 'NONE';
  } catch (error) {
    const { type } = error as { type?: { remoteCode?: string } };
    return type?.remoteCode ?? codeOf(error);
  }
}

/** Repeats the attack until the victim has banned its sender; the scores on the way. */
async function attackUntilBanned(
  net: TestNet,
  attack: Attack,
  hostile: Hostile,
): Promise<{ scores: number[]; refusals: string[] }> {
  const [node] = net.nodes;
  if (!node) throw new Error('a node was started');
  const { peer } = hostile.signer;
  const victim = { peer: node.identity.peer, net: node.genesis.net };
  const score = () => node.network.peers().find(found => found.peer === peer)?.score;
  const scores: number[] = [];
  const refusals: string[] = [];
  for (let i = 0; i < ENOUGH && node.network.isConnected(peer); i++) {
    const before = score();
    const code = await codeOfSending(attack.send(hostile, victim));
    const felt = () => score() === undefined || (score() ?? 0) < (before ?? 100);
    await waitFor(felt, `${attack.name} to cost its sender`, 5_000);
    if (node.network.isConnected(peer)) refusals.push(code);
    scores.push(score() ?? 0);
  }
  return { scores, refusals };
}

test('each breach is refused, counted and costs score until its sender is banned; others are served', async () => {
  const counted = counting();
  const net = await TestNet.start([{ metrics: counted.metrics }, {}]);
  try {
    const [node, honest] = net.nodes;
    if (!node || !honest) throw new Error('two nodes were started');
    for (const [i, attack] of attacks.entries()) {
      counted.breaches.clear();
      const hostile = await join(net);
      try {
        const { scores, refusals } = await attackUntilBanned(net, attack, hostile);
        assert.not(node.network.isConnected(hostile.signer.peer), `${attack.name}: not banned, ${scores}`);
        assert.is(counted.bans(), i + 1, attack.name);
        const reasons = [...counted.breaches.keys()];
        assert.ok(
          reasons.some(reason => attack.reason.test(reason)),
          `${attack.name}: ${reasons}`,
        );
        const { refusal } = attack;
        if (refusal)
          assert.ok(
            refusals.every(code => refusal.test(code)),
            `${attack.name}: ${refusals}`,
          );
        const again = await codeOfSending(
          hostile.network.call(node.identity.peer, 'status', statusRequestMessage.encode(ref), {
            signal: AbortSignal.timeout(500),
          }),
        );
        assert.is.not(again, 'NONE', `${attack.name}: the banned are not served`);
      } finally {
        await hostile.network.stop();
      }
      assert.ok(node.network.isConnected(honest.identity.peer), `${attack.name}: the honest peer stays`);
      assert.is(node.network.peers().find(({ peer }) => peer === honest.identity.peer)?.score, 100);
    }
    const { taskId } = await honest.market.tasks.submit(taskRequest());
    const view = await ended(honest, taskId);
    assert.is(view.state, 'completed');
    assert.is(view.worker, node.identity.peer);
    assert.is(node.market.tasks.stats().worker.executed, 1, 'nothing else was run');
  } finally {
    await net.stop();
  }
});

test.run();
