import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type { MessageStream } from '../../src/network/index.ts';
import { CodedError, deferred } from '../../src/util/index.ts';
import { bytes, codeOfRejection, type Harness, LIMITS, text } from './harness.ts';

/** What holds of `open` and `handle` over any transport. */
export function streamSuite(test: Test, { mesh }: Harness): void {
  /** Two nodes and both ends of one stream; the far end stays open until `release`. */
  async function pair(limits = LIMITS, nearLimits = limits) {
    const far = deferred<MessageStream>();
    const release = deferred<void>();
    const [a, b] = await mesh(2, (n, i) =>
      n.handle('task', i === 0 ? nearLimits : limits, async stream => {
        far.resolve(stream);
        await release.promise;
      }),
    );
    const near = await a!.open(b!.self, 'task');
    return { a: a!, b: b!, near, far: await far.promise, release };
  }

  test('messages go both ways, in order', async () => {
    const { near, far } = await pair();
    const count = 300;
    const talk = async (from: MessageStream, to: MessageStream): Promise<string[]> => {
      const got: string[] = [];
      const sending = (async () => {
        for (let i = 0; i < count; i++) await from.send(bytes(`${i}`));
      })();
      for (let i = 0; i < count; i++) got.push(text(await to.receive()));
      await sending;
      return got;
    };
    const expected = Array.from({ length: count }, (_, i) => `${i}`);
    assert.equal(await Promise.all([talk(near, far), talk(far, near)]), [expected, expected]);
  });

  test('an empty message is a message', async () => {
    const { near, far } = await pair();
    await near.send(new Uint8Array());
    assert.is((await far.receive())?.length, 0);
  });

  test('send waits while the other side does not read, and loses nothing', async () => {
    const limits = { ...LIMITS, maxBytes: 64 * 1024 };
    const { near, far } = await pair(limits);
    const count = 100;
    let sent = 0;
    const sending = (async () => {
      for (let i = 0; i < count; i++) {
        await near.send(new Uint8Array(64 * 1024).fill(i));
        sent++;
      }
    })();
    await far.receive();
    // Over 6 MiB, of which a stream's window takes at most one.
    assert.ok(sent < count, `${sent} were sent with one read`);
    for (let i = 1; i < count; i++) assert.is((await far.receive())?.[0], i);
    await sending;
  });

  test('an aborted receive loses no message', async () => {
    const { near, far } = await pair();
    const controller = new AbortController();
    const waiting = codeOfRejection(far.receive({ signal: controller.signal }));
    controller.abort(new CodedError({ code: 'ENOUGH' }, 'enough'));
    assert.is(await waiting, 'ENOUGH');
    await near.send(bytes('kept'));
    assert.is(text(await far.receive()), 'kept');
  });

  test('close delivers what was sent, then the end', async () => {
    const { near, far } = await pair();
    await near.send(bytes('last'));
    const closing = near.close();
    assert.is(text(await far.receive()), 'last');
    assert.is(await far.receive(), undefined);
    await closing;
    assert.is(await codeOfRejection(near.send(bytes('late'))), 'STREAM_BROKEN');
  });

  test("the end of the handler's promise closes the stream", async () => {
    const { near, release } = await pair();
    release.resolve();
    assert.is(await near.receive(), undefined);
  });

  test('abort breaks the other side', async () => {
    const { near, far } = await pair();
    const waiting = codeOfRejection(far.receive());
    near.abort(new Error('no more'));
    assert.is(await waiting, 'STREAM_BROKEN');
  });

  test('a lost connection is no end', async () => {
    const { near, b } = await pair();
    const waiting = codeOfRejection(near.receive());
    await b.stop();
    assert.is(await waiting, 'STREAM_BROKEN');
  });

  test('oversize is refused here, and there breaks the stream and costs score', async () => {
    const { near, far, b } = await pair(LIMITS, { ...LIMITS, maxBytes: 8192 });
    assert.is(await codeOfRejection(near.send(new Uint8Array(8193))), 'MESSAGE_TOO_LARGE');
    await near.send(new Uint8Array(8192));
    assert.is(await codeOfRejection(far.receive()), 'MESSAGE_TOO_LARGE');
    assert.is(await codeOfRejection(near.receive()), 'STREAM_BROKEN');
    assert.ok((b.peers()[0]?.score ?? 100) < 100);
  });

  test('messages above the rate wait for their turn', async () => {
    const { near, far } = await pair({ ...LIMITS, rate: 50, burst: 2 });
    const began = performance.now();
    for (let i = 0; i < 6; i++) await near.send(bytes(`${i}`));
    for (let i = 0; i < 6; i++) assert.is(text(await far.receive()), `${i}`);
    assert.ok(performance.now() - began > 60, 'four messages at 50 a second take 80 ms');
  });
}
