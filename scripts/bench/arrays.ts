import { type DaemonProcess, Devnet } from '../../test/fixtures/daemons.ts';
import { atLeast, type Figure } from './figures.ts';
import { TRIVIAL } from './tasks.ts';

/** Two at a time on the worker's two cores, as each has one. */
const ELEMENT = { ...TRIVIAL, cpu_cores: 1, payment_amount: '0.001' };
const WARM = 200;
const LOOK_MS = 20;

/** An array from submission until all of it is paid; elements a second. */
async function rateOf({ client }: DaemonProcess, count: number): Promise<number> {
  const started = performance.now();
  const { body } = await client.submitTask({ body: { ...ELEMENT, array: { count } } });
  const params = { task_id: body.task_id };
  for (;;) {
    const { status, body: result } = await client.getTaskResult({ params, query: { wait: '60' } });
    if (status !== 200) continue;
    if (result.status === 'paying') {
      // asking all the time would take a core from what is waited for
      await new Promise(resolve => setTimeout(resolve, LOOK_MS));
      continue;
    }
    if (result.status !== 'completed' || result.array?.completed !== count)
      throw new Error(`the array ${result.status}: ${JSON.stringify(result.error)}`);
    return (count * 1000) / (performance.now() - started);
  }
}

/** How many elements of one requester's array go through one worker with two cores, paid, on each runtime. */
export async function arrays(count: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const runtime of ['docker', 'native']) {
    const net = await Devnet.start(1, { settings: { 'sandbox.runtime': runtime, 'worker.cpus': '2' } });
    try {
      const requester = await net.add({ settings: { 'worker.enabled': 'false' } });
      await net.ready();
      await rateOf(requester, WARM);
      const rate = await rateOf(requester, count);
      figures.push(atLeast(`elements of an array a second, one worker, 2 cores, ${runtime}`, rate, 100));
    } finally {
      await net.stop();
    }
  }
  return figures;
}
