import type { BlobReading } from '../../storage/index.ts';
import { type Abortable, CodedError, codeOf, every, messageOf, raceSignal } from '../../util/index.ts';
import { refKey, type StatusState, type TaskRef } from '../../wire/index.ts';
import type {
  BidView,
  ElementView,
  EngineStats,
  LogChunk,
  ResultView,
  TaskEvent,
  TaskMarket,
  TaskRequest,
  TaskView,
} from '../interface.ts';
import { LONGEST_SWEEP_MS } from '../options.ts';
import { AuctionLimit } from './aimd.ts';
import { Answers } from './answers.ts';
import { Arbitration } from './arbitration.ts';
import { ArrayRunner } from './array-runner.ts';
import { Arrays } from './arrays.ts';
import { AuctionHouse } from './auction.ts';
import { Claims } from './claims.ts';
import type { RequesterComponents } from './interface.ts';
import { Treasurer } from './money.ts';
import { Quotes } from './quotes.ts';
import { Results } from './results.ts';
import { createRetention } from './retention.ts';
import { Settler } from './settler.ts';
import { Submissions, type SubmitOptions } from './submit.ts';
import { TaskRunner } from './task-runner.ts';
import { hasEnded, isOver, type LiveTask, TaskStore } from './task-store.ts';
import { engineStats, taskView } from './views.ts';
import { WaitingRoom } from './waiting-room.ts';

/** Old results are looked for this often. */
const PRUNE_MS = 3_600_000;

/** The requester: the owner's tasks, from submission to receipt. */
export class Requester implements TaskMarket {
  readonly #components: RequesterComponents;
  readonly #store: TaskStore;
  readonly #house: AuctionHouse;
  readonly #claims: Claims;
  readonly #settler: Settler;
  readonly #room: WaitingRoom;
  readonly #runner: TaskRunner;
  readonly #treasurer: Treasurer;
  readonly #submissions: Submissions;
  readonly #answers: Answers;
  readonly #quotes: Quotes;
  readonly #arrayRunner: ArrayRunner;
  readonly #arrays: Arrays;
  readonly #results: Results;
  /** Removes now what is past its retention time. */
  readonly prune: TaskMarket['prune'];
  readonly #sweepOld: () => Promise<void>;
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #stops: (() => void)[] = [];

  constructor(components: RequesterComponents) {
    this.#components = components;
    this.#store = new TaskStore(components);
    this.#house = new AuctionHouse(components, () => this.#store.live.size);
    this.#claims = new Claims(components);
    this.#answers = new Answers(components, this.#store);
    this.#quotes = new Quotes(components);
    const arbitration = new Arbitration(components, this.#store, (request, options) =>
      this.#submit(request, options),
    );
    const treasurer = new Treasurer(components, this.#store, arbitration);
    this.#treasurer = treasurer;
    this.#submissions = new Submissions(components, this.#store);
    ({ prune: this.prune, sweep: this.#sweepOld } = createRetention(components, this.#store));
    this.#settler = new Settler(components, this.#store, treasurer);
    this.#arrayRunner = new ArrayRunner(components, this.#store, task => this.#run(task));
    this.#arrays = new Arrays(this.#store, this.#arrayRunner);
    this.#results = new Results(components, this.#store, this.#arrays);
    const limit = new AuctionLimit();
    this.#room = new WaitingRoom(components.clock, limit);
    this.#runner = new TaskRunner(components, {
      store: this.#store,
      house: this.#house,
      claims: this.#claims,
      treasurer,
      settler: this.#settler,
      room: this.#room,
      limit,
    });
  }

  async start(): Promise<void> {
    const { clock, network, settlement, options } = this.#components;
    const { waits } = this.#treasurer;
    for (const task of await this.#store.start()) this.#run(task);
    this.#stops = [
      every(clock, PRUNE_MS, this.#sweepOld),
      this.#house.acquaintances.start(),
      network.on('peer:up', ({ peer }) => {
        this.#room.wakeAll();
        waits.peerUp(peer);
        this.#claims.peerUp();
      }),
      network.on('peer:down', ({ peer }) => this.#claims.peerDown(peer)),
      every(clock, Math.min(options.sweepMs, LONGEST_SWEEP_MS), () => waits.sweep()),
      settlement.on(() => this.#room.wakeFunded(settlement.spending().spendable)),
    ];
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops) stop();
    const stopping = new CodedError({ code: 'STOPPING' }, 'the node is shutting down');
    this.#stopping.abort(stopping);
    for (const task of this.#store.live.values()) task.stop.abort(stopping);
    this.#settler.stop.abort(stopping);
    await Promise.allSettled(this.#running);
    await this.#settler.settled();
  }

  async submit(
    request: TaskRequest,
    { idempotencyKey }: { idempotencyKey?: string | undefined } = {},
  ): Promise<TaskView> {
    this.#stopping.signal.throwIfAborted();
    return this.get(await this.#submit(request, { key: idempotencyKey }));
  }

  async #submit(request: TaskRequest, options: SubmitOptions): Promise<string> {
    const { task, taskId } = await this.#submissions.submit(request, options);
    if (task) this.#run(task);
    return taskId;
  }

  quote(request: TaskRequest, options?: Abortable): Promise<readonly BidView[]> {
    return this.#quotes.ask(request, options);
  }

  async get(taskId: string): Promise<TaskView> {
    const record = await this.#store.get(taskId);
    const spec = await this.#store.spec(taskId);
    const progress = this.#store.live.get(taskId)?.progress ?? null;
    return taskView(record, spec, progress, this.#arrays.running(taskId));
  }

  async list({ state, label, limit, cursor }: Parameters<TaskMarket['list']>[0]): Promise<{
    tasks: TaskView[];
    cursor: string | null;
  }> {
    const tasks: TaskView[] = [];
    for await (const { taskId, state: is, policy } of this.#store.newestFirst(cursor)) {
      if ((state && is !== state) || (label && policy.labels[label[0]] !== label[1])) continue;
      if (tasks.length === limit) return { tasks, cursor: tasks.at(-1)?.taskId ?? null };
      tasks.push(await this.get(taskId));
    }
    return { tasks, cursor: null };
  }

  result(taskId: string, index?: number): Promise<ResultView> {
    return this.#results.result(taskId, index);
  }

  output(taskId: string, path: string, index?: number): Promise<BlobReading> {
    return this.#results.output(taskId, path, index);
  }

  receipt(taskId: string): Promise<Uint8Array> {
    return this.#results.receipt(taskId);
  }

  element(taskId: string, index: number): Promise<ElementView> {
    return this.#arrays.element(taskId, index);
  }

  elements(...args: Parameters<TaskMarket['elements']>): ReturnType<TaskMarket['elements']> {
    return this.#arrays.elements(...args);
  }

  async retry(taskId: string): Promise<TaskView> {
    this.#run(await this.#arrays.retry(taskId, this.#components.clock.now()));
    return this.get(taskId);
  }

  async cancel(taskId: string): Promise<TaskView> {
    await this.#store.get(taskId);
    const task = this.#store.live.get(taskId);
    if (!task || isOver(task.record)) throw await this.#taskOver(taskId);
    task.stop.abort(new CodedError({ code: 'CANCELLED' }, 'cancelled by its owner'));
    while (!hasEnded(task.record) && task.record.state !== 'paying')
      await raceSignal(task.changed.promise, this.#stopping.signal);
    // the result came before the worker could be stopped
    if (task.record.state !== 'cancelled') throw await this.#taskOver(taskId);
    return this.get(taskId);
  }

  async #taskOver(taskId: string): Promise<CodedError> {
    const { state } = await this.#store.get(taskId);
    return new CodedError({ code: 'TASK_OVER', taskId, state }, `the task is ${state} already`);
  }

  async accept(taskId: string): Promise<TaskView> {
    await this.#answer(taskId, id => this.#answers.accept(id));
    return this.get(taskId);
  }

  async dispute(taskId: string, reason: string): Promise<TaskView> {
    await this.#answer(taskId, id => this.#answers.dispute(id, reason));
    return this.get(taskId);
  }

  /** What is said of an array is said of all its bundles that wait for it. */
  async #answer(taskId: string, say: (taskId: string) => Promise<void>): Promise<void> {
    const { array } = await this.#store.get(taskId);
    await (array ? this.#arrays.answer(taskId, say) : say(taskId));
  }

  async *logs(
    taskId: string,
    { follow, stdoutFrom = 0, stderrFrom = 0, signal }: Parameters<TaskMarket['logs']>[1],
  ): AsyncIterable<LogChunk> {
    await this.#store.get(taskId);
    const live = this.#store.live.get(taskId);
    if (live && !hasEnded(live.record)) {
      if (follow) yield* live.log.follow(stdoutFrom, stderrFrom, signal);
      else yield* live.log.read(stdoutFrom, stderrFrom);
      return;
    }
    const record = await this.#store.get(taskId);
    if (!record.result || record.result.expired) return;
    const { stdout, stderr } = await this.result(taskId);
    if (stdout.length > stdoutFrom)
      yield { stream: 'stdout', offset: stdoutFrom, bytes: stdout.subarray(stdoutFrom) };
    if (stderr.length > stderrFrom)
      yield { stream: 'stderr', offset: stderrFrom, bytes: stderr.subarray(stderrFrom) };
  }

  stats(): EngineStats {
    return engineStats(this.#store, this.#components.worker, this.#components.options.slots);
  }

  async resume(): Promise<void> {
    await this.#components.worker.resume();
    this.#room.wakeAll();
  }

  async drain(): Promise<void> {
    await this.#components.worker.drain();
  }

  onEvent(listener: (event: TaskEvent) => void): () => void {
    return this.#store.bus.on('task', listener);
  }

  /** A bid on a gossiped offer. */
  bidArrived(bytes: Uint8Array, from: string): void {
    this.#house.answer(bytes, from);
  }

  /** A worker has a slot for a task that waits there. */
  claimArrived(bytes: Uint8Array, from: string): Uint8Array {
    return this.#claims.answer(bytes, from);
  }

  /** What this requester thinks of an attempt that its worker asks about. */
  async statusOf(ref: TaskRef, asker: string): Promise<StatusState> {
    const task = this.#store.live.get(ref.taskId);
    const record = task?.record ?? (await this.#components.tasks.get(ref.taskId));
    const entry = record?.attempts.find(other => refKey({ ...ref, attempt: other.attempt }) === refKey(ref));
    if (!record || entry?.worker !== asker) return 'unknown';
    if (entry.close || (record.result?.attempt === ref.attempt && hasEnded(record))) return 'settled';
    return entry.failure || hasEnded(record) ? 'superseded' : 'wanted';
  }

  #run(task: LiveTask): void {
    if (this.#stopping.signal.aborted) task.stop.abort(this.#stopping.signal.reason);
    const runner = task.record.array ? this.#arrayRunner : this.#runner;
    const running = runner
      .run(task)
      .catch(error =>
        this.#components.logger.error({ code: codeOf(error), error: messageOf(error) }, 'a task was left'),
      )
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }
}
