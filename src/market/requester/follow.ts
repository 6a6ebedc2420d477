import { CodedError, codeOf, hasCode, messageOf, sleep, withDeadline } from '../../util/index.ts';
import {
  type Award,
  awardKind,
  type Decided,
  MAX_OUTPUT_BYTES,
  MAX_OUTPUT_FILES,
  offerKind,
  open,
  type WorkerMessage,
} from '../../wire/index.ts';
import { type RequesterChannel, receiveWithin } from '../channel.ts';
import { heartbeat } from '../heartbeat.ts';
import { openTaskStream } from './award.ts';
import type { RequesterComponents } from './interface.ts';
import { LeaseLimits } from './lease-limits.ts';
import { attemptOf, type LiveTask, type TaskStore } from './task-store.ts';

/** What a worker delivered, before anybody has checked it. */
export interface Delivery {
  readonly message: Extract<WorkerMessage, { type: 'result' }>;
  readonly outputs: { path: string; bytes: Uint8Array }[];
  readonly receivedAt: number;
}

export type FollowEnd =
  | { readonly kind: 'delivered'; readonly delivery: Delivery }
  | { readonly kind: 'failed'; readonly message: Extract<WorkerMessage, { type: 'failed' }> };

/** Between tries to reach a worker whose stream broke. */
const REATTACH_MS = 500;
/** Streams of one attempt that may break for what the worker said: the same result breaks the next one too. */
const MAX_BREACHES = 3;
/** For the last message to leave: the worker asks by itself when it was lost. */
const FAREWELL_MS = 2_000;

/** One accepted attempt, followed over as many streams as it takes until its result, its failure, or its silence. */
export class Follower {
  readonly award: Award;
  readonly #components: RequesterComponents;
  readonly #store: TaskStore;
  readonly #task: LiveTask;
  readonly #attempt: number;
  #channel: RequesterChannel | null;
  #lock: Decided | null;
  #cancelled: string | null = null;
  #files = new Map<string, Uint8Array[]>();
  #fileBytes = 0;
  #heard: number;
  #breaches = 0;
  readonly #limits: LeaseLimits;

  constructor(
    components: RequesterComponents,
    store: TaskStore,
    task: LiveTask,
    attempt: number,
    channel: RequesterChannel | null,
  ) {
    this.#components = components;
    this.#store = store;
    this.#task = task;
    this.#attempt = attempt;
    this.#channel = channel;
    const record = attemptOf(task.record, attempt);
    this.award = open(awardKind, record.award as Uint8Array).body;
    this.#lock = record.lock;
    this.#heard = components.clock.monotonic();
    this.#limits = new LeaseLimits(components.clock, this.award, open(offerKind, record.offer).body.terms);
  }

  /** Passes the certified lock on, now and on every later stream. */
  async sendLock(lock: Decided): Promise<void> {
    this.#lock = lock;
    await this.#say({ type: 'locked', lock });
  }

  /** Tells the worker to stop, now and on every later stream. */
  async cancel(reason: string): Promise<void> {
    this.#cancelled = reason;
    await this.#say({ type: 'cancel', reason });
  }

  /** The last word to the worker; the stream ends with it. */
  async finish(message: Parameters<RequesterChannel['send']>[0]): Promise<void> {
    const { clock } = this.#components;
    const channel = this.#channel;
    this.#channel = null;
    if (!channel) return;
    try {
      await withDeadline(FAREWELL_MS, 'the last word', signal => channel.send(message, { signal }), {
        clock,
      });
      await channel.close();
    } catch (error) {
      this.#notHeard(message.type, error);
      channel.abort(error instanceof Error ? error : new Error(messageOf(error)));
    }
  }

  abandon(error: Error): void {
    this.#channel?.abort(error);
    this.#channel = null;
  }

  /**
   * @throws CodedError `WORKER_DEAD` after `deadMs` of silence, `LEASE_LOST` when the worker knows nothing of it, `LEASE_OVERDUE`
   * when it takes longer than agreed, `RESULT_UNREADABLE` when what it says is nonsense each time; or the signal's reason.
   */
  async run({ signal }: { signal: AbortSignal }): Promise<FollowEnd> {
    const { options, clock, logger } = this.#components;
    for (;;) {
      this.#limits.check();
      try {
        if (!this.#channel) {
          this.#channel = await this.#attach(signal);
          await this.#catchUp();
        }
        return await this.#listen(this.#channel, signal);
      } catch (error) {
        if (signal.aborted || hasCode(error, 'LEASE_LOST', 'LEASE_OVERDUE')) throw error;
        logger.debug({ task: this.#task.record.taskId, error: messageOf(error) }, 'worker’s stream broke');
        if (/^(WIRE_|PROTOCOL$)/.test(codeOf(error))) this.#breach(error);
        this.abandon(error instanceof Error ? error : new Error(messageOf(error)));
        if (clock.monotonic() - this.#heard >= options.deadMs) throw this.#dead();
        await sleep(REATTACH_MS, { signal, clock });
      }
    }
  }

  /** Nonsense costs once for each attempt: the same kept result is sent on every stream. */
  #breach(cause: unknown): void {
    this.#breaches++;
    if (this.#breaches === 1) this.#components.network.report(this.award.worker, codeOf(cause), 10);
    if (this.#breaches < MAX_BREACHES) return;
    const message = `what the worker sends cannot be read: ${messageOf(cause)}`;
    throw new CodedError({ code: 'RESULT_UNREADABLE' }, message, { cause });
  }

  #dead(): CodedError {
    const { deadMs } = this.#components.options;
    return new CodedError({ code: 'WORKER_DEAD' }, `nothing was heard of the worker for ${deadMs / 1000} s`);
  }

  async #attach(signal: AbortSignal): Promise<RequesterChannel> {
    const { clock, options } = this.#components;
    const { taskId, replica, worker } = this.award;
    const { log } = this.#task;
    const channel = await withDeadline(
      options.deadMs,
      'reaching the worker',
      signal => openTaskStream(this.#components, worker, { signal }),
      { signal, clock },
    );
    const from = { stdoutFrom: log.size('stdout'), stderrFrom: log.size('stderr') };
    try {
      await channel.send({ type: 'attach', taskId, replica, attempt: this.#attempt, ...from }, { signal });
    } catch (error) {
      channel.abort(error instanceof Error ? error : new Error(messageOf(error)));
      throw error;
    }
    return channel;
  }

  /** What was said on an earlier stream may not have arrived. */
  async #catchUp(): Promise<void> {
    if (this.#lock) await this.#say({ type: 'locked', lock: this.#lock });
    if (this.#cancelled !== null) await this.#say({ type: 'cancel', reason: this.#cancelled });
  }

  async #listen(channel: RequesterChannel, signal: AbortSignal): Promise<FollowEnd> {
    const { clock, options } = this.#components;
    const stopBeating = heartbeat(clock, options.heartbeatMs, () => channel.send({ type: 'heartbeat' }));
    this.#files.clear();
    this.#fileBytes = 0;
    try {
      for (;;) {
        const message = await this.#next(channel, signal);
        this.#heard = clock.monotonic();
        const end = await this.#react(message);
        if (end) return end;
        this.#limits.check();
      }
    } finally {
      stopBeating();
    }
  }

  /** The next message; a worker that is silent is suspect first, and says so to the user. */
  async #next(channel: RequesterChannel, signal: AbortSignal): Promise<WorkerMessage> {
    const { clock, options } = this.#components;
    const cancel = clock.after(options.suspectMs, () => this.#suspect());
    try {
      const message = await receiveWithin(channel, options.deadMs, { signal, clock });
      if (message === undefined)
        throw new CodedError({ code: 'STREAM_BROKEN' }, 'the worker closed the stream');
      return message;
    } finally {
      cancel();
    }
  }

  #suspect(): void {
    const { logger } = this.#components;
    const { worker } = this.award;
    logger.warn({ task: this.#task.record.taskId, worker }, 'the worker is silent');
  }

  async #react(message: WorkerMessage): Promise<FollowEnd | undefined> {
    switch (message.type) {
      case 'heartbeat':
        return undefined;
      case 'unknown':
        throw new CodedError({ code: 'LEASE_LOST' }, 'the worker knows nothing of this task any more');
      case 'phase':
        await this.#phase(message);
        return undefined;
      case 'log':
        this.#task.log.append(message.stream, message.offset, message.bytes);
        return undefined;
      case 'file':
        this.#file(message);
        return undefined;
      case 'failed':
        return { kind: 'failed', message };
      case 'result':
        return { kind: 'delivered', delivery: this.#delivery(message) };
      default:
        throw new CodedError({ code: 'PROTOCOL', type: message.type }, `${message.type} has no place here`);
    }
  }

  async #phase({ phase, progress }: Extract<WorkerMessage, { type: 'phase' }>): Promise<void> {
    const { clock } = this.#components;
    const { record } = this.#task;
    const startedAt = phase === 'executing' ? clock.now() : attemptOf(record, this.#attempt).startedAt;
    const state = phase === 'queued' ? 'scheduled' : 'running';
    const isNews = this.#limits.enter(phase);
    if (isNews && (record.phase !== phase || record.state !== state))
      await this.#store.update(this.#task, current => ({
        state,
        phase,
        waiting: phase === 'queued' ? 'worker_busy' : null,
        attempts: current.attempts.map(entry =>
          entry.attempt === this.#attempt ? { ...entry, startedAt } : entry,
        ),
      }));
    if (progress !== null && this.#limits.isIn(phase))
      this.#store.progress(this.#task, progress, this.#limits.shows());
  }

  #file({ path, offset, bytes }: Extract<WorkerMessage, { type: 'file' }>): void {
    const parts = this.#files.get(path) ?? [];
    const size = parts.reduce((sum, part) => sum + part.length, 0);
    this.#fileBytes += bytes.length;
    const isNew = parts.length === 0;
    const tooMany = isNew ? this.#files.size >= MAX_OUTPUT_FILES : bytes.length === 0;
    if (offset !== size || this.#fileBytes > MAX_OUTPUT_BYTES || tooMany)
      throw new CodedError(
        { code: 'PROTOCOL' },
        'the worker sends more or other files than a result may hold',
      );
    parts.push(bytes);
    this.#limits.alive();
    this.#files.set(path, parts);
  }

  #delivery(message: Extract<WorkerMessage, { type: 'result' }>): Delivery {
    const outputs = [...this.#files].map(([path, parts]) => ({
      path,
      bytes: new Uint8Array(Buffer.concat(parts)),
    }));
    return { message, outputs, receivedAt: this.#components.clock.now() };
  }

  async #say(message: Parameters<RequesterChannel['send']>[0]): Promise<void> {
    try {
      await this.#channel?.send(message);
    } catch (error) {
      this.#notHeard(message.type, error);
    }
  }

  #notHeard(type: string, error: unknown): void {
    const { taskId } = this.award;
    this.#components.logger.debug({ task: taskId, type, error: messageOf(error) }, 'the worker did not hear');
  }
}
