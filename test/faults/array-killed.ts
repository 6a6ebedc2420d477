import * as assert from 'uvu/assert';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import {
  completed,
  followEvents,
  historyOf,
  moneyOf,
  submit,
  taskBody,
  units,
} from '../fixtures/processes.ts';

const ELEMENTS = 200;
/** Every tenth fails in its first run. */
const ELEMENT = `
import os, time
time.sleep(0.01)
print(int(os.environ['DUX_ARRAY_INDEX']) ** 2)
raise SystemExit(os.environ['DUX_ARRAY_RUN'] == '1' and int(os.environ['DUX_ARRAY_INDEX']) % 10 == 3)`;

/** A worker dies in the middle of a paid array: all elements complete, the failed ones alone run again, and each is paid for once. */
export async function killInArray(
  requester: DaemonProcess,
  workers: readonly DaemonProcess[],
): Promise<void> {
  const { client } = requester;
  // a lock of what the killed worker had attested stays until its claim
  const before = await moneyOf([requester]);
  const events = await followEvents(requester);
  const id = await submit(
    requester,
    taskBody(ELEMENT, {
      array: { count: ELEMENTS, retries: 1 },
      payment_amount: '0.01',
      avoid: ['self'],
    }),
  );
  const some = await events.first(
    event => event.task_id === id && (event.array?.completed ?? 0) > 2,
    'some to be done',
  );
  const running = await events.first(
    event => event.array_of === id && event.phase === 'executing' && event.at >= some.at,
    'another bundle to run',
  );
  const peers = await Promise.all(workers.map(worker => worker.peer()));
  const killed = workers[peers.indexOf(running.worker as string)];
  await killed?.kill();
  events.stop();
  const { array } = await completed(requester, id);
  assert.equal([array?.completed, array?.failed], [ELEMENTS, 0]);
  await killed?.start([await requester.address()]);
  const params = { task_id: id };
  const { body } = await client.listElements({ params, query: { limit: '1000' } });
  for (const { index, failures } of body.elements) assert.is(failures, index % 10 === 3 ? 1 : 0, `${index}`);
  for (const index of [0, 3, ELEMENTS - 1]) {
    const { body: result } = await client.getTaskResult({ params, query: { index: String(index) } });
    assert.is((result as { stdout?: string }).stdout, `${index ** 2}\n`);
  }
  const bundles = [...new Set(body.elements.map(({ bundle }) => bundle as string))];
  for (const bundle of bundles) {
    const paid = (await historyOf(requester, bundle)).filter(kind => kind === 'paid' || kind === 'split');
    assert.is(paid.length, 1, 'a bundle is paid once');
  }
  // a failed run earns a tenth of an element at least
  const paid = units(array?.paid ?? '0');
  const least = units('0.01') * BigInt(ELEMENTS) + (units('0.001') * BigInt(ELEMENTS)) / 10n;
  assert.ok(paid >= least - BigInt(ELEMENTS) && paid < least + units('0.01'), `${paid} of ${least}`);
  // the notary has its fees back; each is rounded
  const gone = before - (await moneyOf([requester]));
  const off = gone - (paid * 98n) / 100n;
  assert.ok(off <= bundles.length && off >= -bundles.length, `${gone} gone, ${paid} paid`);
}
