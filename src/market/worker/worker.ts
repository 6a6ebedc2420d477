import { CodedError, codeOf, every, messageOf, Semaphore } from '../../util/index.ts';
import {
  type RequesterMessage,
  refKey,
  type StatusState,
  sameBytes,
  type TaskRef,
} from '../../wire/index.ts';
import { Capacity } from '../capacity.ts';
import { receiveWithin, type WorkerChannel } from '../channel.ts';
import { AWARD_TIMEOUT_MS, LONGEST_SWEEP_MS } from '../options.ts';
import { answerDispute } from './arbiter.ts';
import { Estimates } from './estimates.ts';
import { execute, staged, type Work } from './execute.ts';
import {
  type AwardMessage,
  acceptAward,
  attemptTaken,
  type CheckedAward,
  checkAward,
  slotTaken,
  whyRefused,
} from './intake.ts';
import type { WorkerComponents } from './interface.ts';
import { Lease, lostLease } from './lease.ts';
import { LeaseBook } from './leases.ts';
import { type Answer, type GossipAnswer, OfferDesk } from './offers.ts';
import type { From } from './outlet.ts';
import { type Place, PlaceDesk } from './places.ts';
import { Reservations } from './reservations.ts';
import { recoverSandboxes, resuming } from './resume.ts';
import { serveSession } from './session.ts';

/** At a stop, what running leases have to say may take this long; then their streams are cut. */
const FAREWELL_MS = 2_000;

export interface Worker {
  start(): Promise<void>;
  stop(): Promise<void>;
  drain(): Promise<void>;
  resume(): Promise<void>;
  readonly draining: boolean;
  readonly capacity: Capacity;
  readonly executed: number;
  /** Answers an offer that came over a stream or from the own node. */
  offer(bytes: Uint8Array, from: string): Answer & { encoded: Uint8Array };
  /** What this worker would do with a task, asked without an offer. */
  quote(bytes: Uint8Array, from: string): Uint8Array;
  gossiped(bytes: Uint8Array): GossipAnswer;
  /** Keeps a place for a task that this worker bid on while it was busy, or gives it up. */
  place(bytes: Uint8Array, from: string): Uint8Array;
  /** Serves one task stream, from a peer or from the own node. */
  serve(channel: WorkerChannel): Promise<void>;
  statusOf(ref: TaskRef, asker: string): Promise<StatusState>;
  /** What this node, as an arbiter, says of a dispute. */
  judge(request: Uint8Array, from: string): Promise<Uint8Array>;
  /** CIDs of bytes that running tasks and kept results still need. */
  liveCids(): Promise<string[]>;
}

export function createWorker(components: WorkerComponents): Worker {
  return new MarketWorker(components);
}

class MarketWorker implements Worker {
  readonly capacity: Capacity;
  executed = 0;
  draining = false;
  readonly #components: WorkerComponents;
  readonly #leases: LeaseBook;
  readonly #running = new Set<Promise<void>>();
  readonly #line: Reservations<Place>;
  readonly #desk: OfferDesk;
  readonly #places: PlaceDesk;
  readonly #estimates = new Estimates();
  /** Acceptances are signed one after another: each names the one before. */
  readonly #signing = new Semaphore(1);
  #chain: { nextSeq: number; previous: Uint8Array | null } = { nextSeq: 1, previous: null };
  /** Aborted when the node stops. */
  readonly #stopping = new AbortController();
  #stopSweep: () => void = () => {};
  #sweeping: Promise<void> = Promise.resolve();

  constructor(components: WorkerComponents) {
    this.#components = components;
    const { slots, ownerSlots, milliCpus, memoryBytes, diskBytes, gpus } = components.options;
    this.#leases = new LeaseBook(components);
    const owner = { peer: components.signer.peer, slots: ownerSlots };
    this.capacity = new Capacity({ slots, milliCpus, memoryBytes, diskBytes, gpus }, owner, components.clock);
    this.#line = new Reservations(this.capacity, components.clock);
    this.#desk = new OfferDesk(components, {
      line: this.#line,
      estimates: this.#estimates,
      isDraining: () => this.draining,
      nextSeq: () => this.#chain.nextSeq,
      unlocked: requester => this.#leases.unlocked(requester),
    });
    this.#places = new PlaceDesk(components, this.#line, this.#desk);
    this.capacity.onRoom = () => this.#places.next();
  }

  async start(): Promise<void> {
    const { chain, clock, options } = this.#components;
    this.#chain = (await chain.get('head')) ?? this.#chain;
    await this.#leases.load();
    const accepted = [...this.#leases.all()].filter(({ record }) => record.state === 'accepted');
    const kept = await recoverSandboxes(this.#components, accepted);
    await this.#keepReady();
    for (const lease of accepted) {
      const prepared = kept.get(lease);
      if (prepared) this.#track(this.#execute(lease, resuming(prepared)));
      else await lease.giveUp(lostLease);
    }
    this.#stopSweep = every(clock, Math.min(options.sweepMs, LONGEST_SWEEP_MS), () => this.#sweep());
  }

  /** Sandboxes wait for tasks where tasks may come. */
  async #keepReady(): Promise<void> {
    const { executor, options } = this.#components;
    await executor.keepReady(options.workerEnabled && !this.draining);
  }

  async stop(): Promise<void> {
    this.draining = true;
    this.#stopSweep();
    const stopping = new CodedError({ code: 'STOPPING' }, 'the worker is shutting down');
    this.#stopping.abort(stopping);
    for (const lease of this.#leases.all()) lease.stop.abort(stopping);
    // a requester that does not read must not hold up the stop
    const cut = this.#components.clock.after(FAREWELL_MS, () => {
      for (const lease of this.#leases.all()) lease.outlet.abort(stopping);
    });
    await Promise.allSettled([...this.#running, this.#sweeping]);
    cut();
    for (const lease of this.#leases.all()) lease.outlet.close();
  }

  async drain(): Promise<void> {
    this.draining = true;
    await this.#components.executor.keepReady(false);
  }

  async resume(): Promise<void> {
    this.draining = false;
    await this.#keepReady();
  }

  offer(bytes: Uint8Array, from: string): Answer & { encoded: Uint8Array } {
    const offer = this.#desk.check(bytes);
    if (offer.body.requester !== from)
      throw new CodedError({ code: 'OFFER_INVALID' }, 'a direct offer must come from its requester');
    const answer = this.#desk.answer(offer);
    return { ...answer, encoded: this.#desk.encode(offer.body, answer) };
  }

  quote(bytes: Uint8Array, from: string): Uint8Array {
    return this.#desk.quote(bytes, from);
  }

  gossiped(bytes: Uint8Array): GossipAnswer {
    return this.#desk.gossiped(bytes);
  }

  place(bytes: Uint8Array, from: string): Uint8Array {
    return this.#places.place(bytes, from);
  }

  async serve(channel: WorkerChannel): Promise<void> {
    const { clock } = this.#components;
    const first = await receiveWithin(channel, AWARD_TIMEOUT_MS, { clock });
    if (first?.type === 'award') return this.#award(channel, first);
    if (first?.type === 'attach') return this.#attach(channel, first);
    throw new CodedError({ code: 'PROTOCOL' }, 'a task stream begins with an award or an attach');
  }

  async statusOf(ref: TaskRef, asker: string): Promise<StatusState> {
    const lease = await this.#leases.find(ref);
    if (!lease || lease.record.requester !== asker) return 'unknown';
    const { state } = lease.record;
    if (state === 'attested') return state;
    return state === 'accepted' ? 'running' : 'settled';
  }

  judge(request: Uint8Array, from: string): Promise<Uint8Array> {
    return answerDispute(this.#components, this.#leases, request, from);
  }

  async #award(channel: WorkerChannel, message: AwardMessage): Promise<void> {
    const { signer, genesis } = this.#components;
    const checked = checkAward(message, channel.peer, signer.peer, genesis.net);
    const known = await this.#leases.find(checked.award.body);
    if (known && !sameBytes(known.record.award, message.award))
      return channel.send({ type: 'refused', refusal: attemptTaken });
    if (known) return this.#accepted(known, channel); // the same award again: its answer was lost on the way
    const { body } = checked.award;
    const slot = message.atOnce
      ? (this.#places.take(refKey(body), body.requester) ?? this.#line.take(checked.spec, body.requester))
      : undefined;
    let lease: Lease | undefined;
    try {
      const refusal =
        message.atOnce && !slot
          ? slotTaken
          : await whyRefused(this.#components, this.#desk, this.#leases, checked, message.atOnce);
      if (refusal) return await channel.send({ type: 'refused', refusal });
      lease = await this.#signing.run(() => this.#accept(message, checked));
    } finally {
      if (!lease) slot?.();
    }
    if (!lease) return this.#award(channel, message); // the same award came twice at once
    this.#supersede(lease);
    // it runs whether or not the answer arrives: its requester takes it up on another stream, or says that it has gone on
    this.#track(this.#execute(lease, staged(slot)));
    return this.#accepted(lease, channel);
  }

  async #accepted(lease: Lease, channel: WorkerChannel): Promise<void> {
    await channel.send({ type: 'accepted', acceptance: lease.record.acceptance });
    return this.#session(lease, channel, { stdoutFrom: 0, stderrFrom: 0, filesDone: 0, fileFrom: 0 });
  }

  async #accept(message: AwardMessage, checked: CheckedAward): Promise<Lease | undefined> {
    const { db, chain } = this.#components;
    if (this.#leases.has(checked.award.body)) return undefined;
    const { record, acceptanceDigest } = acceptAward(this.#components, message, checked, this.#chain);
    const lease = new Lease(this.#components, record, checked.spec);
    const ops = [this.#leases.putOp(record)];
    if (record.price > 0n) {
      this.#chain = { nextSeq: this.#chain.nextSeq + 1, previous: acceptanceDigest };
      ops.push(chain.putOp('head', this.#chain));
    }
    // the number is on disk before the signature leaves: two acceptances with one number would prove equivocation
    await db.write(ops, { sync: record.price > 0n });
    this.#leases.add(lease);
    if (this.#stopping.signal.aborted) lease.stop.abort(this.#stopping.signal.reason);
    return lease;
  }

  async #execute(lease: Lease, work: Work): Promise<void> {
    await execute(this.#components, this.capacity, this.#estimates, lease, work);
    this.executed++;
  }

  /** A newer attempt of the same replica: the older one stops, unless it has attested already. */
  #supersede(newer: Lease): void {
    const { taskId, replica, attempt } = newer.record;
    for (const lease of this.#leases.all()) {
      const old = lease.record;
      if (old.taskId === taskId && old.replica === replica && old.attempt < attempt)
        lease.stop.abort(new CodedError({ code: 'SUPERSEDED' }, 'a newer attempt was awarded'));
    }
  }

  async #attach(
    channel: WorkerChannel,
    message: Extract<RequesterMessage, { type: 'attach' }>,
  ): Promise<void> {
    const lease = await this.#leases.find(message);
    if (!lease || lease.record.requester !== channel.peer) return channel.send({ type: 'unknown' });
    return this.#session(lease, channel, message);
  }

  async #session(lease: Lease, channel: WorkerChannel, from: From): Promise<void> {
    lease.attach(channel, from);
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
    const { logger } = this.#components;
    // who was first in line and did not fit may have gone
    this.#places.next();
    this.#sweeping = this.#leases
      .sweep(this.#stopping.signal)
      .catch(error => logger.warn({ code: codeOf(error), error: messageOf(error) }, 'a sweep failed'));
    await this.#sweeping;
  }

  liveCids(): Promise<string[]> {
    return this.#leases.liveCids();
  }
}
