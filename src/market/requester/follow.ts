import { CodedError, codeOf, hasCode, messageOf, sleep, withDeadline } from '../../util/index.ts';
import {
  type Award,
  awardKind,
  type Decided,
  offerKind,
  open,
  type WorkerMessage,
} from '../../wire/index.ts';
import { type RequesterChannel, receiveWithin } from '../channel.ts';
import { TakenBytes } from '../file-window.ts';
import { heartbeat } from '../heartbeat.ts';
import { openTaskStream } from './award.ts';
import { FileInbox } from './file-inbox.ts';
import { type Delivery, type FollowEnd, OWN_FAULTS } from './follow-end.ts';
import { InputSender } from './input-sender.ts';
import type { RequesterComponents } from './interface.ts';
import { LeaseLimits } from './lease-limits.ts';
import { Silence } from './silence.ts';
import { attemptOf, isLive, type LiveTask, type TaskStore } from './task-store.ts';

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
  readonly #files: FileInbox;
  readonly #inputs: InputSender;
  #taken = new TakenBytes();
  /** What this node itself cannot do, on whatever stream. */
  #fatal: Error | null = null;
  readonly silence: Silence;
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
    const { needs, terms } = open(offerKind, record.offer).body;
    this.#files = new FileInbox(components.blobs, needs.outputBytes);
    this.#inputs = new InputSender(components.blobs, task.record.inputs);
    this.silence = new Silence(components.clock, components.options.suspectMs);
    this.#limits = new LeaseLimits(components.clock, this.award, terms);
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

  /** Lets go of what came and was not kept. */
  async release(): Promise<void> {
    this.#inputs.stop();
    await this.#files.discard();
  }

  /**
   * @throws CodedError `WORKER_DEAD` after `deadMs` of silence, `LEASE_LOST` when the worker knows nothing of it, `LEASE_OVERDUE`
   * when it takes longer than agreed, `RESULT_UNREADABLE` when what it says is nonsense each time, `STORAGE_FULL`, `STORAGE_FAILED` and `INPUT_GONE`
   * for what this node cannot do; or the signal's reason.
   */
  async run({ signal }: { signal: AbortSignal }): Promise<FollowEnd> {
    const { logger } = this.#components;
    const facts = { task: this.#task.record.taskId, worker: this.award.worker };
    const stop = this.silence.watch(() => logger.warn(facts, 'the worker is silent'));
    try {
      return await this.#run(signal);
    } finally {
      stop();
    }
  }

  async #run(signal: AbortSignal): Promise<FollowEnd> {
    const { options, clock, logger, network, signer } = this.#components;
    for (;;) {
      this.#limits.check();
      try {
        if (!this.#channel) {
          this.#channel = await this.#attach(signal);
          await this.#catchUp();
        }
        return await this.#listen(this.#channel, signal);
      } catch (error) {
        if (signal.aborted || hasCode(error, 'LEASE_LOST', 'LEASE_OVERDUE', ...OWN_FAULTS)) throw error;
        if (this.#fatal) throw this.#fatal;
        logger.debug({ task: this.#task.record.taskId, error: messageOf(error) }, 'worker’s stream broke');
        if (/^(WIRE_|PROTOCOL$)/.test(codeOf(error))) await this.#breach(error);
        this.abandon(error instanceof Error ? error : new Error(messageOf(error)));
        // who hears nobody at all is away itself, and asks when it is back
        const isAlone = network.peers().length === 0 && this.award.worker !== signer.peer;
        if (this.silence.ms >= options.deadMs && !isAlone) throw this.#dead();
        await sleep(REATTACH_MS, { signal, clock });
      }
    }
  }

  /** Nonsense costs once for each attempt: the same kept result is sent on every stream. */
  async #breach(cause: unknown): Promise<void> {
    this.#breaches++;
    await this.#files.discard();
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
    const from = {
      stdoutFrom: log.size('stdout'),
      stderrFrom: log.size('stderr'),
      ...this.#files.position,
    };
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
    this.#taken = new TakenBytes();
    const stopBeating = heartbeat(clock, options.heartbeatMs, () => channel.send({ type: 'heartbeat' }));
    try {
      for (;;) {
        const message = await receiveWithin(channel, options.deadMs, { signal, clock });
        if (message === undefined)
          throw new CodedError({ code: 'STREAM_BROKEN' }, 'the worker closed the stream');
        this.silence.heard();
        const end = await this.#react(channel, message);
        if (end) return end;
        this.#limits.check();
      }
    } finally {
      stopBeating();
      this.#inputs.stop();
    }
  }

  async #react(channel: RequesterChannel, message: WorkerMessage): Promise<FollowEnd | undefined> {
    switch (message.type) {
      case 'heartbeat':
        return undefined;
      case 'unknown':
        throw new CodedError({ code: 'LEASE_LOST' }, 'the worker knows nothing of this task any more');
      case 'phase':
        await this.#phase(message);
        return undefined;
      case 'log':
        if (this.#isNewest) this.#task.log.append(message.stream, message.offset, message.bytes);
        return undefined;
      case 'file':
        await this.#files.take(message);
        this.#limits.alive();
        this.#sayTaken(message.bytes.length);
        return undefined;
      case 'taken':
        this.#inputs.taken(message.bytes);
        return undefined;
      case 'need':
        this.#inputs.start(channel, message, error => this.#gone(channel, error));
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
        ...(this.#isNewest ? { state, phase, waiting: phase === 'queued' ? 'worker_busy' : null } : {}),
        attempts: current.attempts.map(entry =>
          entry.attempt === this.#attempt ? { ...entry, startedAt } : entry,
        ),
      }));
    if (progress !== null && this.#limits.isIn(phase) && this.#isNewest)
      this.#store.progress(this.#task, progress, this.#limits.shows());
  }

  /** Of attempts beside each other the user sees the newest. */
  get #isNewest(): boolean {
    return this.#task.record.attempts.findLast(isLive)?.attempt === this.#attempt;
  }

  #sayTaken(length: number): void {
    const bytes = this.#taken.add(length);
    if (bytes !== undefined) void this.#say({ type: 'taken', bytes });
  }

  /** An input that cannot be sent: only a stream that broke is mended by another one. */
  #gone(channel: RequesterChannel, error: Error): void {
    if (hasCode(error, ...OWN_FAULTS)) this.#fatal = error;
    channel.abort(error);
  }

  #delivery(message: Extract<WorkerMessage, { type: 'result' }>): Delivery {
    const outputs = this.#files.outputs();
    return { message, outputs, files: this.#files, receivedAt: this.#components.clock.now() };
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
