import { type DaemonProcess, Devnet } from '../test/fixtures/daemons.ts';
import { quantile } from './bench/figures.ts';
import { runTask } from './bench/tasks.ts';

/** Containers of so many nodes would wait for one engine; and so many nodes on one machine have few cores each. */
const SETTINGS = { 'sandbox.runtime': 'native', 'sandbox.ready': '1', 'engine.max_concurrent_tasks': '2' };
/** Requesters at once, each with one task under way: two cores have about four tasks' work to do then. */
const AT_ONCE = 4;

/** `npm run crowd [-- NODES TASKS]`: real daemons on one machine, paid tasks from each of them; fails when one does not complete. */
async function crowd(nodes: number, tasks: number): Promise<void> {
  const net = await Devnet.start(nodes, { settings: SETTINGS });
  try {
    console.error(`${nodes} nodes know each other`);
    const began = performance.now();
    const assigned: number[] = [];
    let left = tasks;
    const submit = async () => {
      while (left-- > 0) {
        const { assignedMs } = await runTask(net.daemons[left % nodes] as DaemonProcess);
        assigned.push(assignedMs);
        if (assigned.length % 200 === 0) console.error(`${assigned.length} completed`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, submit));
    const seconds = (performance.now() - began) / 1000;
    const [p50, p99] = [quantile(assigned, 0.5), quantile(assigned, 0.99)];
    console.log(
      `${assigned.length} of ${tasks} tasks completed on ${nodes} nodes, ${(tasks / seconds).toFixed(1)} a second; assignment p50 ${p50} ms, p99 ${p99} ms`,
    );
  } finally {
    await net.stop();
  }
}

const [nodes = 50, tasks = 2_000] = process.argv.slice(2).map(Number);
if (![nodes, tasks].every(count => Number.isInteger(count) && count >= 2))
  throw new Error('crowd: NODES and TASKS are whole numbers of 2 or more');
await crowd(nodes, tasks);
