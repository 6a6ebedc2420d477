// Random faults: npm run faults -- [ROUNDS] [SEED]. Each round some paid tasks are sent, and at a random phase of one of them a node is killed and started
// again, or its worker stands still until the requester notices. Ends with the audit of test/faults.
import type { TaskPhase } from '../src/wire/index.ts';
import { auditTasks } from '../test/faults/audit.ts';
import type { DaemonProcess } from '../test/fixtures/daemons.ts';
import {
  commandBody,
  completed,
  FAST_LEASES,
  followEvents,
  submit,
  withDevnet,
} from '../test/fixtures/processes.ts';
import { randomOf } from '../test/fixtures/random.ts';
import { waitFor } from '../test/fixtures/wait.ts';

const [rounds = 40, seed = Date.now() % 2 ** 31] = process.argv.slice(2).map(Number);
const PHASES: readonly TaskPhase[] = [
  'queued',
  'offering',
  'awarding',
  'staging',
  'executing',
  'collecting',
  'verifying',
  'settling',
];
const MOST_TASKS = 4;
const [NOTARY, REQUESTER, WORKER] = [0, 1, 2];
const NODES = 5;

async function round(
  daemons: readonly DaemonProcess[],
  names: readonly string[],
  draw: (below: number) => number,
) {
  const requester = daemons[REQUESTER] as DaemonProcess;
  const joins = [await (daemons[NOTARY] as DaemonProcess).address()];
  const events = await followEvents(requester);
  const phase = PHASES[draw(PHASES.length)] as TaskPhase;
  const bodies = Array.from({ length: 1 + draw(MOST_TASKS) }, () =>
    commandBody(`sleep ${draw(20) / 10} && echo done`, {
      payment_amount: '1',
      retries: 20,
      idempotent: draw(2) === 0,
    }),
  );
  const ids = await Promise.all(bodies.map(body => submit(requester, body)));
  const hit = ids[draw(ids.length)] as string;
  const { worker } = await events.first(event => event.task_id === hit && event.phase === phase, phase);
  const byTask = worker === null ? WORKER : names.indexOf(worker);
  const target = [REQUESTER, byTask, byTask, NOTARY][draw(4)] as number;
  const victim = daemons[target] as DaemonProcess;
  const isFrozen = target === byTask && worker !== null && draw(2) === 0;
  if (isFrozen) {
    victim.signal('SIGSTOP');
    const silence = new RegExp(`"task":"${hit}".*the worker is silent`);
    const isNoticed = async () =>
      silence.test(requester.output) ||
      (await requester.client.getTaskStatus({ params: { task_id: hit } })).body.ended_at !== null;
    await waitFor(isNoticed, 'the silence to be noticed', 30_000);
    victim.signal('SIGCONT');
  } else {
    await victim.kill();
    await victim.start(target === NOTARY ? [] : joins);
  }
  events.stop();
  for (const id of ids) await completed(requester, id);
  return `${phase}: ${isFrozen ? 'froze' : 'killed'} node ${target}, ${ids.length} tasks`;
}

console.log(`${rounds} rounds, seed ${seed}`);
await withDevnet(
  NODES,
  async (_net, daemons) => {
    const names = await Promise.all(daemons.map(daemon => daemon.peer()));
    const random = randomOf(seed);
    const draw = (below: number) => Math.floor(random() * below);
    for (let i = 1; i <= rounds; i++) console.log(i, await round(daemons, names, draw));
    await auditTasks(daemons);
  },
  index => ({ settings: { ...FAST_LEASES, 'worker.enabled': String(index >= WORKER) } }),
);
console.log('no task was lost, none paid twice, nothing is left');
