import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { createIdentity, fetchGenesis } from '../../src/network/index.ts';
import { waitFor } from '../fixtures/wait.ts';
import { addressOf, bytes, codeOfRejection, type Harness, LIMITS, text } from './harness.ts';

/** What holds of joining, losing and banning peers over any transport. */
export function connectionSuite(test: Test, { mesh, make, transport }: Harness): void {
  test('peers that join one node find each other, and know address, agent and round trip', async () => {
    const [a, b] = await mesh(4);
    await waitFor(() => a!.rtt(b!.self) !== null, 'a round trip');
    const seen = a!.peers().find(({ peer }) => peer === b!.self);
    assert.equal(seen?.addresses, [addressOf(b!).replace(/\/p2p\/.*/, '')]);
    assert.is(seen?.agent, 'duxnode');
    assert.is(seen?.score, 100);
    assert.is(a!.rtt(a!.self), null);
    assert.not.ok(a!.peers().some(({ peer }) => peer === a!.self));
  });

  test('a node joins before the other exists, and again after each of its restarts', async () => {
    const { network: a } = await make();
    await a.start();
    const { privateKey } = await createIdentity();
    const { network: first } = await make({ privateKey });
    await first.start();
    const address = addressOf(first);
    await first.stop();

    const events: string[] = [];
    a.on('peer:up', () => events.push('up'));
    a.on('peer:down', () => events.push('down'));
    a.join(address);
    for (let round = 0; round < 2; round++) {
      const { network: b } = await make({ privateKey, listen: [address.replace(/\/p2p\/.*/, '')] });
      await b.start();
      await waitFor(() => a.isConnected(b.self), `connection ${round}`);
      await b.stop();
      await waitFor(() => !a.isConnected(b.self), `loss ${round}`);
    }
    assert.equal(events, ['up', 'down', 'up', 'down']);
  });

  test('reports lower the score; at zero the peer is disconnected and refused', async () => {
    const [a, b] = await mesh(2, n => n.serve('echo', LIMITS, async request => request));
    a!.report(b!.self, 'test', 40);
    assert.ok(Math.abs((a!.peers()[0]?.score ?? 0) - 60) < 1);
    a!.report(b!.self, 'test', 70);
    await waitFor(() => !a!.isConnected(b!.self) && !b!.isConnected(a!.self), 'the disconnection');
    assert.is(await codeOfRejection(a!.call(b!.self, 'echo', bytes('x'))), 'PEER_UNREACHABLE');
    assert.is.not(await codeOfRejection(b!.call(a!.self, 'echo', bytes('x'))), 'RESOLVED');
    assert.not.ok(a!.isConnected(b!.self));
  });

  test('nodes of another network are not peers', async () => {
    const { network: a } = await make();
    const { network: b } = await make({ networkId: 'other-net' });
    b.serve('echo', LIMITS, async request => request);
    await a.start();
    await b.start();
    a.join(addressOf(b));
    assert.is(await codeOfRejection(a.call(b.self, 'echo', bytes('x'))), 'PROTOCOL_UNSUPPORTED');
    assert.equal([a.peers(), b.peers()], [[], []]);
  });

  test('the genesis is answered to one who knows an address alone', async () => {
    const { network: a } = await make({ genesis: bytes('the genesis') });
    await a.start();
    const bare = transport === 'tcp' ? addressOf(a).replace(/\/p2p\/.*/, '') : addressOf(a);
    const nowhere = transport === 'tcp' ? '/ip4/127.0.0.1/tcp/1' : '/memory/nowhere';
    const fetched = await fetchGenesis([nowhere, bare], { transport });
    assert.is(text(fetched.bytes), 'the genesis');
    assert.is(fetched.from, a.self);
    assert.equal(a.peers(), []);
    assert.is(await codeOfRejection(fetchGenesis([nowhere], { transport })), 'GENESIS_UNAVAILABLE');
    assert.is(await codeOfRejection(fetchGenesis(['nonsense'], { transport })), 'ADDRESS_INVALID');
  });

  test('a stopped node says so, and starts again', async () => {
    const { network: a } = await make();
    assert.is(await codeOfRejection(a.call(a.self, 'echo', bytes(''))), 'NETWORK_STOPPED');
    a.serve('echo', LIMITS, async request => request);
    await a.start();
    await a.stop();
    assert.is(await codeOfRejection(a.publish('offer/all', bytes(''))), 'NETWORK_STOPPED');
    await a.start();
    const { network: b } = await make({ bootstrap: [addressOf(a)] });
    await b.start();
    await waitFor(() => b.isConnected(a.self), 'the connection');
    assert.is(text(await b.call(a.self, 'echo', bytes('back'))), 'back');
  });
}
