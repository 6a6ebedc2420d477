import { Readable } from 'node:stream';
import * as assert from 'uvu/assert';
import type { TaskReply } from '../../src/api/client.ts';
import { reportTrail } from '../../src/api/index.ts';
import type { DaemonProcess } from '../fixtures/daemons.ts';
import { ended } from '../fixtures/processes.ts';
import { waitFor } from '../fixtures/wait.ts';

/** Locks of attempts that came to nothing: their workers are asked at growing intervals. */
const CLOSED_MS = 60_000;

/** All that `requester` ever submitted. */
async function tasksOf({ client }: DaemonProcess): Promise<TaskReply[]> {
  const { tasks } = (await client.listTasks({ query: { limit: '200' } })).body;
  const replies = tasks.map(({ task_id }) => client.getTask({ params: { task_id } }));
  return (await Promise.all(replies)).map(({ body }) => body);
}

/** Of an account's history, how often each task has a line of a kind: by `TASK KIND`. */
async function linesOf({ client }: DaemonProcess): Promise<Map<string, number>> {
  const { entries } = (await client.getWalletHistory({ query: { limit: '500' } })).body;
  const lines = new Map<string, number>();
  for (const { task_id, kind } of entries) {
    const key = `${task_id} ${kind}`;
    lines.set(key, (lines.get(key) ?? 0) + 1);
  }
  return lines;
}

/** What is wrong with how a task ended; `history` by account. */
function faultsOf(
  { task_id, status, worker, payment_amount, attempts }: TaskReply,
  requester: string,
  history: ReadonlyMap<string, ReadonlyMap<string, number>>,
): string[] {
  const isPaid = status === 'completed' && Number(payment_amount) > 0 && worker !== requester;
  const states = attempts.map(({ payment }) => payment?.state);
  // who had attested when its requester had gone on without it claims, and is disputed: that has dates of its own
  const disputed = attempts.filter(({ error, payment }) => error && payment?.escrow?.state === 'disputed');
  const released = attempts.filter(({ payment }) => payment?.state === 'released').map(entry => entry.worker);
  const of = (peer: string, kind: string) => history.get(peer)?.get(`${task_id} ${kind}`) ?? 0;
  const who = [...history.keys()].filter(peer => of(peer, 'paid') > 0);
  const wanted = isPaid ? [requester, worker] : [];
  return [
    ...(states.filter(state => state === 'locked').length > disputed.length ? ['an escrow is open'] : []),
    ...(String(released) === String(isPaid ? [worker] : []) ? [] : [`released to ${released}`]),
    ...(String(who.sort()) === String(wanted.sort()) ? [] : [`paid in the books of ${who}`]),
    ...(of(requester, 'paid') > 1 ? ['paid twice'] : []),
    ...(of(requester, 'lock') === of(requester, 'refunded') + released.length + disputed.length
      ? []
      : ['a lock is lost']),
  ].map(fault => `${task_id} (${status}, ${states}): ${fault}`);
}

/**
 * Nothing that any of them submitted is lost: it has ended; one that is completed was paid once and to its worker, any other to nobody; every
 * other lock came back, or is disputed until its dates; all who are concerned know so. Each account's trail proves itself.
 */
export async function auditTasks(daemons: readonly DaemonProcess[]): Promise<void> {
  const peers = await Promise.all(daemons.map(daemon => daemon.peer()));
  for (const daemon of daemons)
    for (const { task_id } of await tasksOf(daemon)) await ended(daemon.client, task_id);
  let faults: string[] = [];
  const isSettled = async () => {
    const lines = await Promise.all(daemons.map(linesOf));
    const history = new Map(peers.map((peer, i) => [peer, lines[i] as Map<string, number>]));
    const tasks = await Promise.all(daemons.map(tasksOf));
    faults = tasks.flatMap((own, i) => own.flatMap(task => faultsOf(task, peers[i] as string, history)));
    return faults.length === 0;
  };
  await waitFor(isSettled, () => `all money to rest: ${faults.join(', ')}`, CLOSED_MS);
  for (const { client } of daemons) {
    const report = await reportTrail(Readable.from((await client.exportWallet({})).body.bytes));
    assert.ok(report.valid, JSON.stringify(report.error));
  }
}
