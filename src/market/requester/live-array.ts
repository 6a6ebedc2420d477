import { type Deferred, deferred } from '../../util/index.ts';
import {
  attestationKind,
  OUTCOME,
  open,
  type TaskFailure,
  type TaskOrder,
  type TaskRecord,
  type TaskSpec,
} from '../../wire/index.ts';
import { MeanTime, mostMembers } from '../elements.ts';
import { ArrayTally } from './array-tally.ts';
import { hasEnded, type LiveTask, moneyMoves } from './task-store.ts';

type Bundle = NonNullable<TaskRecord['bundle']>;
export type BundleRecord = TaskRecord & { readonly bundle: Bundle };

export function isBundle(record: TaskRecord): record is BundleRecord {
  return record.bundle !== null;
}

/** What is remembered of a bundle. */
interface Known {
  isSettled: boolean;
  state: TaskRecord['state'];
  waiting: string | null;
  /** What it has cost, or may cost yet. */
  held: bigint;
  paid: bigint;
}

/** Failures that every other bundle would meet too. */
function isHopeless({ class: errorClass, code }: TaskFailure): boolean {
  return errorClass === 'user' || errorClass === 'funds' || code === 'DEADLINE';
}

/** An array and its bundles, as their records tell. */
export class LiveArray {
  readonly task: LiveTask;
  readonly spec: TaskSpec;
  readonly elements: NonNullable<TaskOrder['elements']>;
  readonly tally: ArrayTally;
  readonly mean = new MeanTime();
  /** Of one bundle, by the size of their variables. */
  readonly mostMembers: number;
  /** Why no further bundle is worth a try. */
  hopeless: TaskFailure | null = null;
  /** Settles with the next news of a bundle. */
  changed: Deferred<void> = deferred();
  readonly #bundles = new Map<string, Known>();

  constructor(task: LiveTask, spec: TaskSpec, elements: NonNullable<TaskOrder['elements']>) {
    this.task = task;
    this.spec = spec;
    this.elements = elements;
    this.mostMembers = mostMembers(elements);
    const { total, runs } = task.record.array as NonNullable<TaskRecord['array']>;
    this.tally = new ArrayTally(total, runs);
  }

  /** Takes in how a bundle stands now. */
  note(record: BundleRecord): void {
    const { taskId, bundle, state, waiting, failure } = record;
    let known = this.#bundles.get(taskId);
    if (!known) {
      known = { isSettled: false, state, waiting, held: 0n, paid: 0n };
      this.#bundles.set(taskId, known);
      this.tally.started(taskId, bundle.elements);
    }
    const isOver = hasEnded(record);
    if (!known.isSettled && (bundle.outcomes || isOver)) {
      known.isSettled = true;
      this.tally.settled(bundle.elements, outcomesOf(record));
      this.#learn(record);
      if (!bundle.outcomes && failure && state === 'failed' && isHopeless(failure)) this.hopeless = failure;
    }
    const paid = record.attempts.reduce((sum, { pay }) => sum + pay, 0n);
    const open = record.attempts.reduce(
      (sum, entry) => sum + (moneyMoves(entry) ? (entry.price ?? 0n) : 0n),
      0n,
    );
    Object.assign(known, { state, waiting, paid, held: isOver ? paid + open : record.policy.maxTotal });
    this.changed.resolve();
    this.changed = deferred();
  }

  has(taskId: string): boolean {
    return this.#bundles.has(taskId);
  }

  get paid(): bigint {
    return this.#sum(({ paid }) => paid);
  }

  get held(): bigint {
    return this.#sum(({ held }) => held);
  }

  /** Ids of the bundles that have not ended. */
  get open(): string[] {
    return [...this.#bundles].filter(([, known]) => !hasEnded(known)).map(([taskId]) => taskId);
  }

  /** Bundles that nobody runs yet. */
  get ahead(): number {
    return [...this.#bundles.values()].filter(({ state }) => state === 'pending' || state === 'scheduled')
      .length;
  }

  /** Bundles that run now: each has a place for itself. */
  get places(): number {
    return [...this.#bundles.values()].filter(({ state }) => state === 'running').length;
  }

  /** What it waits for: its owner's word, or while none of its bundles runs what the next of them waits for. */
  get waiting(): string | null {
    const all = [...this.#bundles.values()].flatMap(({ waiting }) => waiting ?? []);
    const isAwaited = all.includes('awaiting_accept');
    return isAwaited ? 'awaiting_accept' : this.places > 0 ? null : (all[0] ?? null);
  }

  #sum(of: (known: Known) => bigint): bigint {
    return [...this.#bundles.values()].reduce((total, known) => total + of(known), 0n);
  }

  #learn({ bundle, result }: BundleRecord): void {
    const runs = bundle.outcomes?.filter(outcome => outcome !== OUTCOME.notRun).length;
    if (!runs || !result) return;
    const { startedAt, endedAt } = open(attestationKind, result.attestation).body;
    this.mean.add(endedAt - startedAt, runs);
  }
}

/** A bundle that failed as a whole has failed for each of its elements; one that was cancelled has not run. */
export function outcomesOf({ bundle, state }: BundleRecord): Uint8Array {
  const all = state === 'failed' ? OUTCOME.failed : OUTCOME.notRun;
  return bundle.outcomes ?? new Uint8Array(bundle.elements.length).fill(all);
}
