import { type DaemonProcess, Devnet } from '../../test/fixtures/daemons.ts';
import { type Figure, figure, mean } from './figures.ts';
import { runTask, TRIVIAL } from './tasks.ts';

const MANY = 1_000;
const FEW = 10;
/** Most of it is no work: that the worker's cores are shared is not what is measured. */
const TASK = { ...TRIVIAL, cpu_cores: 0.1, code: 'import time\ntime.sleep(1)\nprint(1)' };
const SUBMIT_AT_ONCE = 20;

/** How much longer ten tasks of one requester take from submission to result while another has a thousand on the same worker. */
export async function fairness(): Promise<Figure[]> {
  const net = await Devnet.start(1, { settings: { 'engine.max_concurrent_tasks': '4' } });
  try {
    const submitsOnly = { settings: { 'worker.enabled': 'false' } };
    const many = await net.add(submitsOnly);
    const few = await net.add(submitsOnly);
    await net.ready();
    for (const requester of [many, few]) await runTask(requester, TASK);
    const alone = await tenTasksMs(few);
    await submit(many, MANY);
    const beside = await tenTasksMs(few);
    const { body: left } = await many.client.getStats();
    console.error(
      `ten tasks, mean: ${alone.toFixed(0)} ms alone, ${beside.toFixed(0)} ms beside ${left.pending_tasks} that are not done`,
    );
    return [
      figure(`ten tasks beside another requester’s ${MANY}, against alone, mean`, beside / alone, 2, 'ratio'),
    ];
  } finally {
    await net.stop();
  }
}

async function tenTasksMs(requester: DaemonProcess): Promise<number> {
  const timed = await Promise.all(Array.from({ length: FEW }, () => runTask(requester, TASK)));
  return mean(timed.map(({ resultMs }) => resultMs));
}

async function submit({ client }: DaemonProcess, count: number): Promise<void> {
  let left = count;
  const some = async () => {
    while (left-- > 0) await client.submitTask({ body: TASK });
  };
  await Promise.all(Array.from({ length: SUBMIT_AT_ONCE }, some));
}
