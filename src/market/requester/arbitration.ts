import { drawArbiters, type Escrow, type Standing } from '../../ledger/index.ts';
import {
  CodedError,
  codeOf,
  deferred,
  messageOf,
  raceSignal,
  withDeadline,
  withOwnSignal,
} from '../../util/index.ts';
import {
  type EscrowVerdict,
  type Finding,
  MAX_RERUNS,
  mergeSignatures,
  type Opened,
  open,
  sameBytes,
  type TaskRef,
  taskSpecMessage,
  type VerdictRequest,
  verdictAnswerMessage,
  verdictKind,
  verdictRequestMessage,
} from '../../wire/index.ts';
import type { TaskRequest } from '../interface.ts';
import { escrowRecord } from './escrow-steps.ts';
import type { EscrowWaits } from './escrow-waits.ts';
import type { RequesterComponents } from './interface.ts';
import { attemptOf, hasEnded, type LiveTask, type TaskStore } from './task-store.ts';

/** One question to an arbiter: it checks some signatures, and runs nothing meanwhile. */
const ASK_MS = 10_000;

/** What waits at once while a panel is asked: a few for each arbiter. */
const PANEL_WAITS = 64;
/** A run that failed at the arbiter is tried again, each time that the panel is asked. */
const RERUN_TRIES = 10;

/** Has a task run by somebody, once for each key. */
export type Submit = (request: TaskRequest, options: { key: string; salt: Uint8Array }) => Promise<string>;

/** One arbiter's, and what it rests on. */
type Verdict = Opened<EscrowVerdict> & { readonly finding: Finding };

/**
 * The requester's way to a verdict: each drawn arbiter runs the task again, as any worker does, for the price of the disputed run; then it
 * is shown what proves the dispute, and signs what it found.
 */
export class Arbitration {
  readonly #components: RequesterComponents;
  readonly #store: TaskStore;
  readonly #submit: Submit;

  constructor(components: RequesterComponents, store: TaskStore, submit: Submit) {
    this.#components = components;
    this.#store = store;
    this.#submit = submit;
  }

  /**
   * The verdict that a quorum of the drawn arbiters signed; undefined where they give none now, or not in time: by the wall clock, which
   * timers do not follow.
   */
  async verdict(
    task: LiveTask,
    attempt: number,
    escrow: Escrow,
    { claim, dispute }: Standing,
    { signal, waits }: { signal: AbortSignal; waits: EscrowWaits },
  ): Promise<Uint8Array | undefined> {
    if (!claim || !dispute || escrow.lock.arbiters.length === 0) return undefined;
    const { order } = await this.#store.order(task.record.taskId);
    const { offer } = attemptOf(task.record, attempt);
    const shown = { lock: escrow.decided, claim, dispute, order, offer };
    const inTime = async (signal: AbortSignal) => {
      const over = waits.until(escrow.lock.verdictBy, { signal }).then(() => undefined);
      return Promise.race([this.#ofPanel(task, escrow, shown, signal), over]);
    };
    const verdict = await withOwnSignal(PANEL_WAITS, inTime, { signal });
    if (!verdict) return undefined;
    const { bytes, finding } = verdict;
    await this.#store.updateAttempt(task, attempt, { escrow: escrowRecord(escrow, 'disputed', { finding }) });
    return bytes;
  }

  /** As soon as enough of them agree: the others are not waited for. */
  async #ofPanel(
    task: LiveTask,
    escrow: Escrow,
    shown: Omit<VerdictRequest, 'runs'>,
    signal: AbortSignal,
  ): Promise<Verdict | undefined> {
    const { escrowId, lock } = escrow;
    const found = deferred<Verdict | undefined>();
    const given: Verdict[] = [];
    const asked = drawArbiters(escrowId, lock).map(async arbiter => {
      const verdict = await this.#of(task, escrow, arbiter, shown, signal);
      if (!verdict) return;
      given.push(verdict);
      const same = given.filter(({ digest }) => sameBytes(digest, verdict.digest));
      if (same.length < lock.arbiterQuorum) return;
      found.resolve({ ...verdict, ...mergeSignatures(verdictKind, same) });
    });
    void Promise.all(asked).then(() => found.resolve(undefined), found.reject);
    return raceSignal(found.promise, signal);
  }

  /** One arbiter's verdict; undefined while it gives none. Rejects with the signal's reason alone. */
  async #of(
    task: LiveTask,
    escrow: Escrow,
    arbiter: string,
    shown: Omit<VerdictRequest, 'runs'>,
    signal: AbortSignal,
  ): Promise<Verdict | undefined> {
    const runs: TaskRef[] = [];
    try {
      for (let number = 1; ; number++) {
        const verdict = await this.#ask(escrow, arbiter, { ...shown, runs }, signal);
        if (verdict) return verdict;
        if (number > MAX_RERUNS)
          throw new CodedError({ code: 'VERDICT_INVALID' }, 'the arbiter wants more runs than anybody needs');
        runs.push(await this.#rerun(task, escrow, arbiter, number, signal));
      }
    } catch (error) {
      signal.throwIfAborted();
      const { taskId } = task.record;
      this.#components.logger.info(
        { task: taskId, arbiter, code: codeOf(error), error: messageOf(error) },
        'an arbiter gave no verdict',
      );
      return undefined;
    }
  }

  /** Undefined: it has to run the task first, or once more. */
  async #ask(
    { escrowId, lock }: Escrow,
    arbiter: string,
    request: VerdictRequest,
    signal: AbortSignal,
  ): Promise<Verdict | undefined> {
    const { network, clock, genesis } = this.#components;
    const bytes = verdictRequestMessage.encode(request);
    const call = (signal: AbortSignal) => network.call(arbiter, 'verdict', bytes, { signal });
    const answer = verdictAnswerMessage.decode(
      await withDeadline(ASK_MS, 'the arbiter', call, { signal, clock }),
    );
    if (answer.type === 'run') return undefined;
    const verdict = open(verdictKind, answer.verdict);
    const { body, signers } = verdict;
    const isIts = signers.length === 1 && signers[0] === arbiter && sameBytes(body.net, genesis.net);
    if (!isIts || body.escrowId !== escrowId || body.pay > lock.amount)
      throw new CodedError({ code: 'VERDICT_INVALID' }, 'the verdict is not this arbiter’s on this escrow');
    return { ...verdict, finding: answer.finding };
  }

  /** Has the arbiter run the task, with the salt of its order, so that the run shows by its hash what it was of. */
  async #rerun(
    task: LiveTask,
    { escrowId, lock }: Escrow,
    arbiter: string,
    number: number,
    signal: AbortSignal,
  ): Promise<TaskRef> {
    const { taskId, policy } = task.record;
    const { spec, salt } = await this.#store.order(taskId);
    const request: TaskRequest = {
      spec: taskSpecMessage.decode(spec),
      policy: {
        ...policy,
        name: 'arbitration',
        type: 'arbitration',
        payment: lock.amount,
        maxTotal: lock.amount,
        verification: 'none',
        resultSchema: null,
        // what it failed at is tried again under another key: an old lock must not hold up the next run
        retries: 0,
        deadline: lock.verdictBy,
        avoidSelf: true,
        avoidPeers: [],
        requirePeers: [arbiter],
        labels: { arbitrates: taskId },
        automaticPayment: true,
        arbiters: [],
      },
    };
    for (let tries = 1; tries <= RERUN_TRIES; tries++) {
      // no key of a user's holds a space
      const key = `${escrowId} ${arbiter} ${number} ${tries}`;
      const rerunId = await this.#submit(request, { key, salt });
      const live = this.#store.live.get(rerunId);
      while (live && !live.record.result && !hasEnded(live.record))
        await raceSignal(live.changed.promise, signal);
      // paid or not, it is there
      const { result, failure } = live?.record ?? (await this.#store.get(rerunId));
      if (result) return { taskId: rerunId, replica: 0, attempt: result.attempt };
      if (live) throw new CodedError({ code: 'RERUN_FAILED' }, failure?.message ?? 'the arbiter ran nothing');
    }
    throw new CodedError({ code: 'RERUN_FAILED' }, `the arbiter failed to run the task ${RERUN_TRIES} times`);
  }
}
