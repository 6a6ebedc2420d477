import type { DaemonProcess } from '../../test/fixtures/daemons.ts';

/** The smallest useful task, paid, for another node than the one that it is sent to. */
export const TRIVIAL = {
  service_name: 'bench',
  code: 'print(1)',
  cpu_cores: 0.5,
  memory_mb: 64,
  payment_amount: '0.01',
  avoid: ['self' as const],
};

export interface Timed {
  readonly taskId: string;
  /** From the request to the answer of the long poll with the result. */
  readonly resultMs: number;
  /** From the request until the task was completed: the payment certified, the receipt written. */
  readonly paidMs: number;
  /** From submission to the award's acceptance, by the node's own clock. */
  readonly assignedMs: number;
}

/** Asking all the time would take a core from what is waited for. */
const LOOK_MS = 5;

const OVER = ['completed', 'failed', 'cancelled'];

/** One task from submission to its paid end, over HTTP as a user would. */
export async function runTask({ client }: DaemonProcess, task = TRIVIAL): Promise<Timed> {
  const started = performance.now();
  const submitted = await client.submitTask({ body: task });
  const { task_id: taskId } = submitted.body;
  await client.getTaskResult({ params: { task_id: taskId }, query: { wait: '60' } });
  const resultMs = performance.now() - started;
  for (;;) {
    const { body } = await client.getTaskStatus({ params: { task_id: taskId } });
    if (!OVER.includes(body.status)) {
      await new Promise(resolve => setTimeout(resolve, LOOK_MS));
      continue;
    }
    if (body.status !== 'completed')
      throw new Error(`${taskId} ${body.status}: ${JSON.stringify(body.error)}`);
    return { taskId, resultMs, paidMs: performance.now() - started, assignedMs: assignment(body) };
  }
}

function assignment({
  submitted_at,
  phases,
}: {
  submitted_at: string;
  phases: Record<string, string | undefined>;
}): number {
  const accepted = phases.pulling ?? phases.staging;
  return accepted ? Date.parse(accepted) - Date.parse(submitted_at) : Number.NaN;
}
