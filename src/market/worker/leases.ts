import { Semaphore } from '../../util/index.ts';
import { attestationKind, type LeaseRecord, open, refKey, type TaskRef } from '../../wire/index.ts';
import { closeLease } from './closing.ts';
import type { WorkerComponents } from './interface.ts';
import { Lease } from './lease.ts';

/** All leases: a queue's worth for each requester, a week of absent ones, and those settled lately. */
const MAX_LEASES = 10_000;
/** A settled lease answers late questions for an hour: from the disk, since hardly any is asked. In memory it would be 15 KiB. */
const SETTLED_KEPT_MS = 3_600_000;
/** Requesters and notaries asked at once by a sweep: one that is away takes seconds to say so. */
const SWEEP_WIDTH = 8;

/** The leases of this worker, on disk and in memory. */
export class LeaseBook {
  readonly #components: WorkerComponents;
  /** In the order of their acceptance: those that are not settled, and until the next sweep those that are. */
  readonly #leases = new Map<string, Lease>();
  /** Those on disk alone: when they were settled, the first of them first. */
  readonly #settled = new Map<string, number>();

  constructor(components: WorkerComponents) {
    this.#components = components;
  }

  async load(): Promise<void> {
    const settled: [string, number][] = [];
    for await (const [key, record] of this.#components.leases.iterate({ limit: MAX_LEASES }))
      if (record.state === 'settled') settled.push([key, record.updatedAt]);
      else this.#leases.set(key, new Lease(this.#components, record, null));
    for (const [key, at] of settled.sort((a, b) => a[1] - b[1])) this.#settled.set(key, at);
  }

  /** All that are in memory: every one that is not settled. */
  all(): Iterable<Lease> {
    return this.#leases.values();
  }

  has(ref: TaskRef): boolean {
    const key = refKey(ref);
    return this.#leases.has(key) || this.#settled.has(key);
  }

  /** A settled one as it is on disk. */
  async find(ref: TaskRef): Promise<Lease | undefined> {
    const key = refKey(ref);
    const known = this.#leases.get(key);
    if (known || !this.#settled.has(key)) return known;
    const record = await this.#components.leases.get(key);
    return record && new Lease(this.#components, record, null);
  }

  /** CIDs of all results that are kept, and of the inputs of what has not run yet. */
  async liveCids(): Promise<string[]> {
    const cids: string[] = [];
    for (const { record, spec, inputs } of this.#leases.values())
      if (spec && !record.attestation) cids.push(...(inputs?.cids ?? []));
    for await (const [, { attestation, outputs }] of this.#components.leases.iterate({ limit: MAX_LEASES })) {
      if (!attestation) continue;
      const { stdoutCid, stderrCid } = open(attestationKind, attestation).body;
      cids.push(stdoutCid, stderrCid, ...outputs.map(({ cid }) => cid));
    }
    return cids;
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
    const isFull = () => this.#leases.size + this.#settled.size >= MAX_LEASES;
    if (isFull()) await this.#forget([...this.#settled.keys()].slice(0, MAX_LEASES / 10));
    return !isFull();
  }

  /** One step for each that is not settled, some at a time; leaves the others to the disk, and forgets what was settled long ago. */
  async sweep(signal: AbortSignal): Promise<void> {
    const now = this.#components.clock.now();
    const lanes = new Semaphore(SWEEP_WIDTH);
    const steps: Promise<void>[] = [];
    for (const lease of this.#leases.values())
      if (lease.record.state !== 'settled')
        steps.push(
          lanes.run(async () => {
            if (!signal.aborted) await closeLease(this.#components, lease, { signal });
          }),
        );
      else if (lease.isOver) {
        this.#leases.delete(lease.key);
        this.#settled.set(lease.key, lease.record.updatedAt);
      }
    await Promise.all(steps);
    const old = [...this.#settled].filter(([, at]) => now - at > SETTLED_KEPT_MS);
    if (!signal.aborted) await this.#forget(old.map(([key]) => key));
  }

  async #forget(keys: readonly string[]): Promise<void> {
    const { db, leases } = this.#components;
    if (keys.length === 0) return;
    await db.write(keys.map(key => leases.delOp(key)));
    for (const key of keys) this.#settled.delete(key);
  }
}
