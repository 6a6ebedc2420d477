import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Network, Verdict } from '../../src/network/index.ts';
import { waitFor } from '../fixtures/wait.ts';
import { addressOf, bytes, codeOfRejection, type Harness, text } from './harness.ts';

/** What holds of `publish` and `subscribe` over any transport. */
export function topicSuite(test: Test, { mesh, make }: Harness): void {
  /** Keeps what came in, and judges it. */
  function listen(network: Network, verdict: (message: string) => Verdict = () => 'accept'): string[] {
    const got: string[] = [];
    network.subscribe('offer/all', 1000, async message => {
      got.push(text(message));
      return verdict(text(message));
    });
    return got;
  }

  test('a message reaches every subscriber once, and not its sender', async () => {
    const got: string[][] = [];
    const [a] = await mesh(3, n => got.push(listen(n)));
    await a!.publish('offer/all', bytes('hello'));
    await waitFor(() => got.flat().length === 2, 'both to hear it');
    await a!.publish('offer/all', bytes('again'));
    await waitFor(() => got.flat().length === 4, 'both to hear the second');
    assert.equal(got, [[], ['hello', 'again'], ['hello', 'again']]);
  });

  test('a message published before anybody subscribes reaches the first who does', async () => {
    const { network: a } = await make();
    await a.start();
    await a.publish('offer/all', bytes('early'));
    const { network: b } = await make();
    const got = listen(b);
    await b.start();
    b.join(addressOf(a));
    await waitFor(() => got.length === 1, 'the queued message');
    assert.equal(got, ['early']);
  });

  test('a rejected message lowers the score of its sender, ignored ones do not', async () => {
    const got: string[][] = [];
    const [a, b] = await mesh(2, n => got.push(listen(n, m => (m === 'bad' ? 'reject' : 'ignore'))));
    const score = () => b!.peers()[0]?.score ?? 100;
    await a!.publish('offer/all', bytes('dull'));
    await waitFor(() => got[1]!.length === 1, 'the ignored message');
    assert.is(score(), 100);
    await a!.publish('offer/all', bytes('bad'));
    await waitFor(() => score() < 100, 'a lower score');
  });

  test('an oversize message is refused here and others still pass', async () => {
    const got: string[][] = [];
    const [a] = await mesh(2, n => got.push(listen(n)));
    assert.is(await codeOfRejection(a!.publish('offer/all', new Uint8Array(1001))), 'MESSAGE_TOO_LARGE');
    assert.is(await codeOfRejection(a!.publish('other', new Uint8Array(64 * 1024 + 1))), 'MESSAGE_TOO_LARGE');
    await a!.publish('offer/all', bytes('small'));
    await waitFor(() => got[1]!.length === 1, 'the small message');
  });
}
