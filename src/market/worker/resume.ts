import type { PreparedSandbox } from '../../sandbox/index.ts';
import { codeOf, messageOf, withDeadline } from '../../util/index.ts';
import { collect, run, type Work } from './execute.ts';
import type { WorkerComponents } from './interface.ts';
import type { Lease } from './lease.ts';

/**
 * Takes up the sandboxes in which tasks of these leases went on while this node was away, and has all others of an earlier run removed; an engine that is away
 * does so when it is back. Never throws.
 */
export async function recoverSandboxes(
  components: WorkerComponents,
  leases: readonly Lease[],
): Promise<ReadonlyMap<Lease, PreparedSandbox>> {
  const { executor, logger } = components;
  const kept = new Map<Lease, PreparedSandbox>();
  for (const lease of leases) {
    const prepared = await takeUp(components, lease);
    if (prepared) kept.set(lease, prepared);
  }
  try {
    const orphans = await executor.recover();
    if (orphans > 0) logger.warn({ orphans }, 'removed sandboxes of an earlier run');
  } catch (error) {
    logger.warn({ code: codeOf(error), error: messageOf(error) }, 'sandboxes of an earlier run may be left');
  }
  return kept;
}

async function takeUp(
  { executor, logger }: WorkerComponents,
  { key, record: { running } }: Lease,
): Promise<PreparedSandbox | null> {
  if (!running) return null;
  try {
    const prepared = await executor.resume(running.handle, running.startedAt);
    logger.info({ task: key, sandbox: prepared.id }, 'a task went on while the node was away');
    return prepared;
  } catch (error) {
    logger.warn(
      { task: key, code: codeOf(error), error: messageOf(error) },
      'a task cannot be taken up again',
    );
    return null;
  }
}

/** Brings such a lease from there to its result: nothing is fetched, staged or started again. */
export function resuming(prepared: PreparedSandbox): Work {
  return async (components, capacity, lease) => {
    const { requester, terms, needs } = lease.offer;
    const { imageDigest = '' } = lease.record.running ?? {};
    const { signal } = lease.stop;
    // It runs: where this node lends less than before, others wait for it, and it for nobody.
    const release = capacity.take(needs, requester);
    try {
      const result = await run(components, lease, prepared, imageDigest);
      const work = () => collect(components, lease, prepared.runtime, imageDigest, result);
      await withDeadline(terms.limits.collectMs, 'collecting', work, { signal, clock: components.clock });
      return result;
    } finally {
      release?.();
    }
  };
}
