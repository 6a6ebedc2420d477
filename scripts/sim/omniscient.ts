import { classesOf, type WorkerClass } from '../../src/market/shards.ts';
import { Timeline } from './timeline.ts';
import {
  demands,
  downShare,
  type Job,
  jobs,
  machineOf,
  machines,
  type SimInit,
  World,
  warmUpTasks,
} from './world.ts';

/** Slots of one kind of machine, all together. */
interface Pool {
  readonly speed: number;
  readonly serves: readonly WorkerClass[];
  free: number;
}

/**
 * The mean time from submission to result, milliseconds, of the same tasks under a scheduler that knows all, at once and without a
 * message: each gets the fastest free slot that fits, in a network where nothing fails. It keeps a slot for each GPU.
 */
export function omniscientMs(init: SimInit): number {
  const timeline = new Timeline();
  const world = new World(init);
  const pools = poolsOf(init);
  const waiting: { readonly job: Job; readonly start: (pool: Pool) => void }[] = [];
  let sum = 0;
  let unended = init.tasks;

  const give = (pool: Pool, ms: number, ended: () => void) => {
    pool.free--;
    timeline.after(ms, () => {
      pool.free++;
      ended();
      const next = waiting.findIndex(({ job }) => pool.serves.includes(job.class));
      if (next >= 0) waiting.splice(next, 1)[0]?.start(pool);
    });
  };
  // as it would have left them: the fast ones busy
  const work = init.load * pools.reduce((sum, { free, speed }) => sum + free * speed, 0);
  const workOfGpus = (work * demands.gpu.percent) / 100;
  let left = work - workOfGpus;
  for (const pool of pools) {
    const isOfGpus = pool.serves.includes('gpu');
    const busy = Math.min(pool.free, Math.round((isOfGpus ? workOfGpus : left) / pool.speed));
    if (!isOfGpus) left -= busy * pool.speed;
    for (let i = 0; i < busy; i++) give(pool, world.restMs() / pool.speed, () => {});
  }

  const queue = jobs(init);
  let index = -warmUpTasks(init);
  const submitNext = () => {
    const job = queue.next().value;
    timeline.after(job.gapMs, () => {
      const submittedAt = timeline.monotonic();
      const isMeasured = index >= 0 && index < init.tasks;
      const start = (pool: Pool) =>
        give(pool, job.runMs / pool.speed, () => {
          if (!isMeasured) return;
          sum += timeline.monotonic() - submittedAt;
          unended--;
        });
      const pool = pools.find(({ free, serves }) => free > 0 && serves.includes(job.class));
      if (pool) start(pool);
      else waiting.push({ job, start });
      if (++index < init.tasks) submitNext();
    });
  };
  submitNext();
  while (unended > 0 && timeline.step());
  return sum / init.tasks;
}

/** The fastest first; slots of machines with a GPU that are not kept for one do the work of others. */
function poolsOf(init: SimInit): Pool[] {
  const up = 1 - downShare(init);
  const pools = machines.flatMap(machine => {
    let nodes = 0;
    for (let node = 0; node < init.nodes; node++) if (machineOf(node) === machine) nodes++;
    const gpus = machine.total.gpus?.count ?? 0;
    const serves = classesOf(machine.total);
    const { speed } = machine;
    return [
      {
        speed,
        serves: serves.filter(name => name !== 'gpu'),
        free: Math.round(nodes * (machine.total.slots - gpus) * up),
      },
      { speed, serves: ['gpu'] as const, free: Math.round(nodes * gpus * up) },
    ];
  });
  return pools.sort((a, b) => b.speed - a.speed);
}
