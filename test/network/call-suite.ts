import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { CodedError, deferred } from '../../src/util/index.ts';
import { waitFor } from '../fixtures/wait.ts';
import { bytes, codeOfRejection, type Harness, LIMITS, text } from './harness.ts';

/** What holds of `call` and `serve` over any transport. */
export function callSuite(test: Test, { mesh }: Harness): void {
  test('200 pipelined calls each get their own answer', async () => {
    const [a, b] = await mesh(2, n =>
      n.serve('echo', LIMITS, async (request, from) => bytes(`${text(request)} of ${from}`)),
    );
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => a!.call(b!.self, 'echo', bytes(`${i}`))),
    );
    assert.equal(
      answers.map(text),
      Array.from({ length: 200 }, (_, i) => `${i} of ${a!.self}`),
    );
  });

  test('a slow request does not hold up the next', async () => {
    const slow = deferred<void>();
    const [a, b] = await mesh(2, n =>
      n.serve('echo', LIMITS, async request => {
        if (text(request) === 'slow') await slow.promise;
        return request;
      }),
    );
    const first = a!.call(b!.self, 'echo', bytes('slow'));
    assert.is(text(await a!.call(b!.self, 'echo', bytes('fast'))), 'fast');
    slow.resolve();
    assert.is(text(await first), 'slow');
  });

  test('a coded error reaches the caller as REMOTE; the text of any other stays where it was thrown', async () => {
    const [a, b] = await mesh(2, n =>
      n.serve('fail', LIMITS, async request => {
        if (text(request) === 'coded') throw new CodedError({ code: 'NO_FUNDS' }, 'the account is empty');
        throw new Error('secret path /home/x');
      }),
    );
    const rejection = async (request: string) => {
      try {
        await a!.call(b!.self, 'fail', bytes(request));
      } catch (error) {
        return (error as CodedError).type;
      }
      return undefined;
    };
    assert.equal(await rejection('coded'), {
      code: 'REMOTE',
      peer: b!.self,
      remoteCode: 'NO_FUNDS',
      message: 'the account is empty',
    });
    const other = await rejection('other');
    assert.is(other?.remoteCode, 'INTERNAL');
    assert.not.match(String(other?.message), /secret/);
  });

  test('the handler has a deadline, and its signal says so', async () => {
    const aborted = deferred<void>();
    const [a, b] = await mesh(2, n =>
      n.serve('hang', { ...LIMITS, deadlineMs: 50 }, (_request, _from, { signal }) => {
        signal?.addEventListener('abort', () => aborted.resolve());
        return new Promise(() => undefined);
      }),
    );
    try {
      await a!.call(b!.self, 'hang', bytes(''));
      assert.unreachable();
    } catch (error) {
      assert.is((error as CodedError).type.remoteCode, 'TIMEOUT');
    }
    await aborted.promise;
  });

  test("the caller's signal ends the wait", async () => {
    const [a, b] = await mesh(2, n => n.serve('hang', LIMITS, () => new Promise(() => undefined)));
    const controller = new AbortController();
    const call = a!.call(b!.self, 'hang', bytes(''), { signal: controller.signal });
    controller.abort(new CodedError({ code: 'CHANGED_MIND' }, 'no longer wanted'));
    assert.is(await codeOfRejection(call), 'CHANGED_MIND');
  });

  test('an oversize request is refused before it is sent', async () => {
    const [a, b] = await mesh(2, n => n.serve('echo', LIMITS, async request => request));
    assert.is(await codeOfRejection(a!.call(b!.self, 'echo', new Uint8Array(4097))), 'MESSAGE_TOO_LARGE');
    assert.is(text(await a!.call(b!.self, 'echo', bytes('still works'))), 'still works');
  });

  test('an oversize request from one with other limits is refused, costs score, and the next call works', async () => {
    const [a, b] = await mesh(2, (n, i) =>
      n.serve('echo', { ...LIMITS, maxBytes: i === 0 ? 100_000 : 4096 }, async request => request),
    );
    try {
      await a!.call(b!.self, 'echo', new Uint8Array(50_000));
      assert.unreachable();
    } catch (error) {
      assert.is((error as CodedError).type.remoteCode, 'MESSAGE_TOO_LARGE');
    }
    assert.ok((b!.peers()[0]?.score ?? 100) < 100);
    assert.is(text(await a!.call(b!.self, 'echo', bytes('again'))), 'again');
  });

  test('an oversize answer is an error to the caller', async () => {
    const [a, b] = await mesh(2, n => n.serve('big', LIMITS, async () => new Uint8Array(4097)));
    try {
      await a!.call(b!.self, 'big', bytes(''));
      assert.unreachable();
    } catch (error) {
      assert.is((error as CodedError).type.remoteCode, 'MESSAGE_TOO_LARGE');
    }
  });

  test('an unknown protocol and an unknown peer have codes', async () => {
    const [a, b] = await mesh(2);
    assert.is(await codeOfRejection(a!.call(b!.self, 'nothing', bytes(''))), 'PROTOCOL_UNSUPPORTED');
    const stranger = '12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf';
    assert.is(await codeOfRejection(a!.call(stranger, 'nothing', bytes(''))), 'PEER_UNREACHABLE');
    assert.is(await codeOfRejection(a!.call('no peer', 'nothing', bytes(''))), 'PEER_UNREACHABLE');
  });

  test('calls break when the other side goes', async () => {
    const arrived = deferred<void>();
    const [a, b] = await mesh(2, n =>
      n.serve('hang', LIMITS, () => {
        arrived.resolve();
        return new Promise(() => undefined);
      }),
    );
    const call = codeOfRejection(a!.call(b!.self, 'hang', bytes('')));
    await arrived.promise;
    await b!.stop();
    assert.is(await call, 'STREAM_BROKEN');
  });

  test('haste is refused with RATE_LIMITED and costs a little score', async () => {
    const [a, b] = await mesh(2, n =>
      n.serve('echo', { ...LIMITS, rate: 0.001, burst: 3 }, async request => request),
    );
    const ask = () =>
      a!.call(b!.self, 'echo', bytes('x')).then(
        () => 'ok',
        error => (error as CodedError).type.remoteCode,
      );
    assert.equal(await Promise.all([ask(), ask(), ask(), ask()]), ['ok', 'ok', 'ok', 'RATE_LIMITED']);
    await waitFor(() => (b!.peers()[0]?.score ?? 100) < 100, 'a lower score');
  });
}
