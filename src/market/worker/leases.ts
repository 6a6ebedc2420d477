import { Semaphore } from '../../util/index.ts';
import type { LeaseRecord, TaskRef } from '../../wire/index.ts';
import { refKey } from '../../wire/index.ts';
import { closeLease } from './closing.ts';
import type { WorkerComponents } from './interface.ts';
import { Lease } from './lease.ts';

/** All leases: a queue's worth for each requester, a week of absent ones, and those settled lately. */
const MAX_LEASES = 10_000;
/** A settled lease answers late questions for an hour. */
const SETTLED_KEPT_MS = 3_600_000;
/** Requesters and notaries asked at once by a sweep: one that is away takes seconds to say so. */
const SWEEP_WIDTH = 8;

/** The leases of this worker, on disk and in memory. */
export class LeaseBook {
  readonly #components: WorkerComponents;
  /** In the order of their acceptance. */
  readonly #leases = new Map<string, Lease>();

  constructor(components: WorkerComponents) {
    this.#components = components;
  }

  async load(): Promise<void> {
    for await (const [key, record] of this.#components.leases.iterate({ limit: MAX_LEASES }))
      this.#leases.set(key, new Lease(this.#components, record, null));
  }

  all(): Iterable<Lease> {
    return this.#leases.values();
  }

  get(ref: TaskRef): Lease | undefined {
    return this.#leases.get(refKey(ref));
  }

  /** The prices of what a requester has under way here without a lock so far. */
  unlocked(requester: string): bigint {
    let sum = 0n;
    for (const { record } of this.#leases.values())
      if (record.requester === requester && record.state === 'accepted' && !record.lock) sum += record.price;
    return sum;
  }

  add(lease: Lease): void {
    this.#leases.set(lease.key, lease);
  }

  /** The change that takes note of a new lease. */
  putOp(record: LeaseRecord) {
    return this.#components.leases.putOp(refKey(record), record);
  }

  /** Whether another lease has a place; what is settled makes room. */
  async hasRoom(): Promise<boolean> {
    if (this.#leases.size < MAX_LEASES) return true;
    const settled = [...this.#leases.values()].filter(lease => lease.record.state === 'settled');
    await this.#forget(settled.slice(0, MAX_LEASES / 10));
    return this.#leases.size < MAX_LEASES;
  }

  /** One step for each that is not settled, some at a time; forgets what was settled long ago. */
  async sweep(signal: AbortSignal): Promise<void> {
    const now = this.#components.clock.now();
    const lanes = new Semaphore(SWEEP_WIDTH);
    const old: Lease[] = [];
    const steps: Promise<void>[] = [];
    for (const lease of this.#leases.values()) {
      const { state, updatedAt } = lease.record;
      if (state !== 'settled')
        steps.push(
          lanes.run(async () => {
            if (!signal.aborted) await closeLease(this.#components, lease, { signal });
          }),
        );
      else if (now - updatedAt > SETTLED_KEPT_MS) old.push(lease);
    }
    await Promise.all(steps);
    if (!signal.aborted) await this.#forget(old);
  }

  async #forget(old: readonly Lease[]): Promise<void> {
    const { db, leases } = this.#components;
    if (old.length === 0) return;
    await db.write(old.map(lease => leases.delOp(lease.key)));
    for (const lease of old) this.#leases.delete(lease.key);
  }
}
