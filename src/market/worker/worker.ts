import type { Verdict } from '../../network/index.ts';
import { CodedError, codeOf, every, messageOf, Semaphore, withDeadline } from '../../util/index.ts';
import {
  attestationKind,
  open,
  type RequesterMessage,
  refKey,
  type StatusState,
  sameBytes,
  type TaskRef,
  WireError,
} from '../../wire/index.ts';
import { Capacity } from '../capacity.ts';
import type { WorkerChannel } from '../channel.ts';
import { AWARD_TIMEOUT_MS } from '../options.ts';
import { closeLease } from './closing.ts';
import { Estimates } from './estimates.ts';
import { execute } from './execute.ts';
import { type AwardMessage, acceptAward, checkAward, refuseAward } from './intake.ts';
import type { WorkerComponents } from './interface.ts';
import { Lease } from './lease.ts';
import { type Answer, OfferDesk } from './offers.ts';
import { serveSession } from './session.ts';

/** Leases that are not settled yet: a queue's worth for each requester, and a week of absent ones. */
const MAX_LEASES = 10_000;
/** A settled lease answers late questions for an hour. */
const SETTLED_KEPT_MS = 3_600_000;

export interface Worker {
  start(): Promise<void>;
  stop(): Promise<void>;
  drain(): void;
  resume(): void;
  readonly draining: boolean;
  readonly capacity: Capacity;
  readonly executed: number;
  /** Answers an offer that came over a stream or from the own node. */
  offer(bytes: Uint8Array, from: string): Answer & { encoded: Uint8Array };
  /** The verdict on a gossiped offer; the answer to send to its requester, if one is due. */
  gossiped(bytes: Uint8Array): { verdict: Verdict; answer: { to: string; encoded: Uint8Array } | null };
  /** Serves one task stream, from a peer or from the own node. */
  serve(channel: WorkerChannel): Promise<void>;
  statusOf(ref: TaskRef, asker: string): StatusState;
  /** CIDs of bytes that kept results still need. */
  liveCids(): string[];
}

export function createWorker(components: WorkerComponents): Worker {
  return new MarketWorker(components);
}

class MarketWorker implements Worker {
  readonly capacity: Capacity;
  executed = 0;
  draining = false;
  readonly #components: WorkerComponents;
  readonly #leases = new Map<string, Lease>();
  readonly #running = new Set<Promise<void>>();
  readonly #desk: OfferDesk;
  readonly #estimates = new Estimates();
  /** Acceptances are signed one after another: each names the one before. */
  readonly #signing = new Semaphore(1);
  #chain: { nextSeq: number; previous: Uint8Array | null } = { nextSeq: 1, previous: null };
  #stopSweep: () => void = () => {};

  constructor(components: WorkerComponents) {
    this.#components = components;
    const { slots, milliCpus, memoryBytes, diskBytes } = components.options;
    this.capacity = new Capacity({ slots, milliCpus, memoryBytes, diskBytes });
    this.#desk = new OfferDesk(components, {
      capacity: this.capacity,
      estimates: this.#estimates,
      isDraining: () => this.draining,
      nextSeq: () => this.#chain.nextSeq,
    });
  }

  async start(): Promise<void> {
    const { leases, chain, executor, logger, clock, options } = this.#components;
    this.#chain = (await chain.get('head')) ?? this.#chain;
    for await (const [key, record] of leases.iterate({ limit: MAX_LEASES }))
      this.#leases.set(key, new Lease(this.#components, record, null));
    const orphans = await executor.recover();
    if (orphans.length > 0) logger.warn({ orphans: orphans.length }, 'removed sandboxes of an earlier run');
    for (const lease of this.#leases.values())
      if (lease.record.state === 'accepted')
        await lease.giveUp({
          class: 'worker',
          code: 'LEASE_LOST',
          message: 'the worker restarted in mid-task',
        });
    this.#stopSweep = every(clock, options.sweepMs, () => this.#sweep());
  }

  async stop(): Promise<void> {
    this.draining = true;
    this.#stopSweep();
    const stopping = new CodedError({ code: 'STOPPING' }, 'the worker is shutting down');
    for (const lease of this.#leases.values()) lease.stop.abort(stopping);
    await Promise.allSettled(this.#running);
    for (const lease of this.#leases.values()) lease.closeChannel();
  }

  drain(): void {
    this.draining = true;
  }

  resume(): void {
    this.draining = false;
  }

  offer(bytes: Uint8Array, from: string): Answer & { encoded: Uint8Array } {
    const offer = this.#desk.check(bytes);
    if (offer.body.requester !== from)
      throw new CodedError({ code: 'OFFER_INVALID' }, 'a direct offer must come from its requester');
    this.#desk.firstSight(offer);
    const answer = this.#desk.answer(offer);
    return { ...answer, encoded: this.#desk.encode(offer.body, answer) };
  }

  gossiped(bytes: Uint8Array): { verdict: Verdict; answer: { to: string; encoded: Uint8Array } | null } {
    try {
      const offer = this.#desk.check(bytes);
      if (offer.body.requester === this.#components.signer.peer || !this.#desk.firstSight(offer))
        return { verdict: 'accept', answer: null };
      const answer = this.#desk.answer(offer);
      if (!('bid' in answer)) return { verdict: 'accept', answer: null };
      return {
        verdict: 'accept',
        answer: { to: offer.body.requester, encoded: this.#desk.encode(offer.body, answer) },
      };
    } catch (error) {
      const ignore = codeOf(error) === 'OFFER_STALE';
      this.#components.metrics.count('gossip_refused_total', { code: codeOf(error) });
      return { verdict: ignore ? 'ignore' : 'reject', answer: null };
    }
  }

  async serve(channel: WorkerChannel): Promise<void> {
    const { clock } = this.#components;
    const first = await withDeadline(AWARD_TIMEOUT_MS, 'the award', signal => channel.receive({ signal }), {
      clock,
    });
    if (first?.type === 'award') return this.#award(channel, first);
    if (first?.type === 'attach') return this.#attach(channel, first);
    throw new CodedError({ code: 'PROTOCOL' }, 'a task stream begins with an award or an attach');
  }

  statusOf(ref: TaskRef, asker: string): StatusState {
    const lease = this.#leases.get(refKey(ref));
    if (!lease || lease.record.requester !== asker) return 'unknown';
    return lease.record.state === 'accepted'
      ? 'running'
      : lease.record.state === 'attested'
        ? 'attested'
        : 'settled';
  }

  async #award(channel: WorkerChannel, message: AwardMessage): Promise<void> {
    const { signer, genesis, network } = this.#components;
    let checked: ReturnType<typeof checkAward>;
    try {
      checked = checkAward(message, channel.peer, signer.peer, genesis.net);
    } catch (error) {
      if (error instanceof WireError || error instanceof CodedError)
        network.report(channel.peer, codeOf(error), 10);
      throw error;
    }
    const known = this.#leases.get(refKey(checked.award.body));
    if (known) {
      // the same award again: its answer was lost on the way
      if (!sameBytes(known.record.award, message.award))
        return channel.send({
          type: 'refused',
          refusal: { code: 'ATTEMPT_TAKEN', reason: 'another award has this number', permanent: true },
        });
      await channel.send({ type: 'accepted', acceptance: known.record.acceptance });
      return this.#session(known, channel, { stdoutFrom: 0, stderrFrom: 0 });
    }
    const refusal = this.#refusalOf(checked);
    if (refusal) return channel.send({ type: 'refused', refusal });
    const lease = await this.#signing.run(() => this.#accept(message, checked));
    await channel.send({ type: 'accepted', acceptance: lease.record.acceptance });
    this.#supersede(lease);
    const session = this.#session(lease, channel, { stdoutFrom: 0, stderrFrom: 0 });
    this.#track(this.#execute(lease));
    return session;
  }

  #refusalOf(checked: ReturnType<typeof checkAward>) {
    if (this.#leases.size >= MAX_LEASES)
      return { code: 'BUSY', reason: 'too many leases are not settled yet', permanent: false };
    const bid = this.#desk.bidFor(refKey(checked.award.body), checked.award.body.bidHash);
    const wouldRefuse = this.#desk.wouldRefuse(checked.offer.body);
    return refuseAward(checked, { bid, wouldRefuse, now: this.#components.clock.now() });
  }

  async #accept(message: AwardMessage, checked: ReturnType<typeof checkAward>): Promise<Lease> {
    const { db, leases, chain } = this.#components;
    const { record, acceptanceDigest } = acceptAward(this.#components, message, checked, this.#chain);
    const lease = new Lease(this.#components, record, checked.spec);
    const ops = [leases.putOp(lease.key, record)];
    if (record.price > 0n) {
      this.#chain = { nextSeq: this.#chain.nextSeq + 1, previous: acceptanceDigest };
      ops.push(chain.putOp('head', this.#chain));
    }
    // the number is on disk before the signature leaves: two acceptances with one number would prove equivocation
    await db.write(ops, { sync: record.price > 0n });
    this.#leases.set(lease.key, lease);
    return lease;
  }

  async #execute(lease: Lease): Promise<void> {
    await execute(this.#components, this.capacity, this.#estimates, lease);
    this.executed++;
  }

  /** A newer attempt of the same replica: the older one stops, unless it has attested already. */
  #supersede(newer: Lease): void {
    const { taskId, replica, attempt } = newer.record;
    for (const lease of this.#leases.values()) {
      const old = lease.record;
      if (old.taskId === taskId && old.replica === replica && old.attempt < attempt)
        lease.stop.abort(new CodedError({ code: 'SUPERSEDED' }, 'a newer attempt was awarded'));
    }
  }

  async #attach(
    channel: WorkerChannel,
    message: Extract<RequesterMessage, { type: 'attach' }>,
  ): Promise<void> {
    const lease = this.#leases.get(refKey(message));
    if (!lease || lease.record.requester !== channel.peer) return channel.send({ type: 'unknown' });
    return this.#session(lease, channel, message);
  }

  async #session(
    lease: Lease,
    channel: WorkerChannel,
    from: { stdoutFrom: number; stderrFrom: number },
  ): Promise<void> {
    await lease.attach(channel, from);
    await serveSession(this.#components, lease, channel);
  }

  #track(promise: Promise<void>): void {
    const { logger } = this.#components;
    const tracked = promise
      .catch(error =>
        logger.error({ error: messageOf(error), code: codeOf(error) }, 'a lease failed unexpectedly'),
      )
      .finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }

  async #sweep(): Promise<void> {
    const { db, leases, clock } = this.#components;
    const now = clock.now();
    const old: string[] = [];
    for (const lease of this.#leases.values()) {
      if (lease.record.state !== 'settled') await closeLease(this.#components, lease);
      else if (now - lease.record.updatedAt > SETTLED_KEPT_MS) old.push(lease.key);
    }
    for (const key of old) this.#leases.delete(key);
    if (old.length > 0) await db.write(old.map(key => leases.delOp(key)));
  }

  liveCids(): string[] {
    return [...this.#leases.values()].flatMap(({ record }) => {
      if (!record.attestation) return [];
      const { stdoutCid, stderrCid } = open(attestationKind, record.attestation).body;
      return [stdoutCid, stderrCid, ...record.outputs.map(output => output.cid)];
    });
  }
}
