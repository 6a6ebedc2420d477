import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Database, openDatabase } from '../../src/db/index.ts';
import {
  createLedgerDesk,
  createNotary,
  createSettlement,
  type LedgerDesk,
  type Notary,
} from '../../src/ledger/index.ts';
import { orderSlot } from '../../src/ledger/statement.ts';
import { silentLogger, systemClock } from '../../src/util/index.ts';
import {
  certificateKind,
  escrowIdOf,
  type GenesisInfo,
  keyBytesToPeer,
  type LedgerRequest,
  type Opened,
  type Signer,
  seal,
  type Vote,
  voteKind,
} from '../../src/wire/index.ts';
import { type DaemonProcess, Devnet } from '../../test/fixtures/daemons.ts';
import * as s from '../../test/ledger/support.ts';
import { atLeast, type Figure, figure, median } from './figures.ts';
import { runTask, TRIVIAL } from './tasks.ts';

const { admin } = s;
const alice = stranger();
const clock = systemClock;
const logger = silentLogger;
const AMOUNT = 1_000n;

/** One whose signatures this process has not made: it has to check them, as those of another machine. */
function stranger(): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const key = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  return { peer: keyBytesToPeer(key), sign: bytes => sign(null, bytes, privateKey) };
}

const allocations = [{ account: alice.peer, amount: 10n ** 12n }];

interface Statements {
  readonly order: Opened<unknown>;
  readonly slot: string;
  readonly accepts: readonly { readonly accept: Opened<unknown>; readonly slot: string }[];
}

/** One order of `size` locks, and the acceptance of each. */
function makeStatements({ net }: GenesisInfo, seq: number, size: number): Statements {
  const locks = Array.from({ length: size }, (_, i) =>
    s.makeLock({ ...s.taskRefOf(`${seq}/${i}`), amount: AMOUNT }),
  );
  const order = s.makeOrder(alice, seq, locks, { net });
  const accepts = locks.map((lock, i) => {
    const escrowId = escrowIdOf(order, i);
    return { accept: s.accept({ escrowId, lock }, alice, { net }), slot: `E/${escrowId}/0` };
  });
  return { order, slot: orderSlot(alice.peer, seq), accepts };
}

async function withDb<T>(fn: (db: Database, dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-bench-'));
  const db = await openDatabase({ logger, clock }, { dir });
  try {
    return await fn(db, dir);
  } finally {
    await db.close();
    await rm(dir, { recursive: true });
  }
}

/** CPU of this process while `fn` runs, µs. */
async function cpuUs(fn: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await fn();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** The others' part of a decision, made before the clock runs: their votes with ours, and their commits with ours. */
class FourNotaries {
  readonly keys = [admin, stranger(), stranger(), stranger()];
  readonly genesis = s.makeGenesis({ notaries: this.keys.map(({ peer }) => peer), allocations });

  /** What a client sends to one notary for each statement: its proposal, the votes of a quorum, the certificate. */
  requests(slot: string, { bytes: value, digest }: Opened<unknown>): LedgerRequest[] {
    const body: Vote = { net: this.genesis.net, epoch: 0, slot, ballot: 0, value: digest };
    const quorum = this.keys.slice(0, 3);
    const qc = seal(voteKind, body, ...quorum).bytes;
    const certificate = seal(certificateKind, body, ...quorum).bytes;
    return [
      { type: 'propose', epoch: 0, values: [value] },
      { type: 'commit', items: [{ qc, value }] },
      { type: 'certify', decided: [{ certificate, value }] },
    ];
  }
}

async function mustAnswer(desk: LedgerDesk, request: LedgerRequest): Promise<void> {
  const answer = await desk(request, alice.peer);
  if (answer.type === 'round' && answer.outcomes.every(({ type }) => type !== 'refused')) return;
  throw new Error(JSON.stringify(answer));
}

/** Pairs, or orders, between two looks at the clock: what others make of them is made in between, and kept no longer. */
const ROUND = 32;
const WARM_ROUNDS = 16;

/** A lock and its release at one of four notaries, one after another: all that it is asked, checks, syncs and signs. */
async function ofFour(rounds: number): Promise<Figure> {
  const four = new FourNotaries();
  const { genesis } = four;
  const requestsOf = (seq: number) => {
    const { order, slot, accepts } = makeStatements(genesis, seq, 1);
    const released = accepts.flatMap(({ accept, slot: step }) => four.requests(step, accept));
    return [...four.requests(slot, order), ...released];
  };
  return withDb(async db => {
    const notary = createNotary({ db, clock, logger, signer: admin }, { genesis });
    await notary.start();
    const desk = createLedgerDesk(notary);
    const used: number[] = [];
    for (let round = 0; round < WARM_ROUNDS + rounds; round++) {
      const requests = Array.from({ length: ROUND }, (_, i) => requestsOf(round * ROUND + i)).flat();
      used.push(
        await cpuUs(async () => {
          for (const request of requests) await mustAnswer(desk, request);
        }),
      );
    }
    await notary.stop();
    const pairMs = median(used.slice(WARM_ROUNDS)) / ROUND / 1000;
    return figure('lock and release, CPU of one notary of four', pairMs, 1.4, 'ms');
  });
}

async function mustDecide(notary: Notary, values: readonly Uint8Array[]): Promise<void> {
  const outcomes = await notary.submit(values);
  if (!outcomes.every(({ ok }) => ok)) throw new Error('refused');
}

/** Locks in orders of 64 at one notary, their releases, and the start on what both left. */
async function ofOne(settlements: number): Promise<Figure[]> {
  const genesis = s.makeGenesis({ allocations });
  const made = Array.from({ length: settlements / 64 }, (_, seq) => makeStatements(genesis, seq, 64));
  return withDb(async (db, dir) => {
    const notary = createNotary({ db, clock, logger, signer: admin }, { genesis });
    await notary.start();
    const locked: number[] = [];
    for (const { order } of made) locked.push(await cpuUs(() => mustDecide(notary, [order.bytes])));
    const released: number[] = [];
    for (const { accepts } of made) {
      const values = accepts.map(({ accept }) => accept.bytes);
      released.push(await cpuUs(() => mustDecide(notary, values)));
    }
    const eachUs = (used: readonly number[]) => median(used.slice(WARM_ROUNDS)) / 64;
    console.error(`release in batches of 64: ${eachUs(released).toFixed(0)} µs CPU`);
    await notary.stop();
    await db.close();
    const began = performance.now();
    const again = await openDatabase({ logger, clock }, { dir });
    const restarted = createNotary({ db: again, clock, logger, signer: admin }, { genesis });
    await restarted.start();
    const startMs = performance.now() - began;
    await restarted.stop();
    await again.close();
    return [
      figure('lock in an order of 64, CPU of the notary', eachUs(locked), 50, 'µs'),
      figure('start of a notary with 10,000 settlements, none of them compacted', startMs / 1000, 2, 's'),
    ];
  });
}

/** Tasks' worth of locks and releases through wallet and notary, a second; 64 tasks at a time. */
async function sustained(tasks: number): Promise<Figure> {
  return withDb(async db => {
    const genesis = s.makeGenesis({ allocations: [{ account: admin.peer, amount: 10n ** 12n }] });
    const notary = createNotary({ db, clock, logger, signer: admin }, { genesis });
    await notary.start();
    const network = { call: () => Promise.reject(new Error('no network here')) };
    const local = { peer: admin.peer, desk: createLedgerDesk(notary) };
    const wallet = createSettlement(
      { network, db, clock, logger, signer: admin, notary: local },
      { genesis },
    );
    await wallet.start();
    await wallet.sync();
    const { op: _op, taskId: _task, replica, attempt, ...terms } = s.makeLock({ amount: AMOUNT });
    let left = tasks;
    const worker = async () => {
      while (left > 0) {
        const { taskId } = s.taskRefOf(`task ${left--}`);
        const escrow = await wallet.lock({ taskId, replica, attempt }, terms);
        await wallet.settle(escrow, s.accept(escrow, admin, { net: genesis.net }).bytes);
      }
    };
    const began = performance.now();
    await Promise.all(Array.from({ length: 64 }, worker));
    const rate = (tasks * 1000) / (performance.now() - began);
    await wallet.stop();
    await notary.stop();
    return atLeast('tasks settled a second, one notary and its wallet', rate, 200);
  });
}

/** What payment adds until the result is in hand: paid and unpaid tasks in turn. */
async function addedToTask(rounds: number): Promise<Figure> {
  const net = await Devnet.start(2);
  try {
    const requester = net.daemons[1] as DaemonProcess;
    const unpaidTask = { ...TRIVIAL, payment_amount: '0' };
    for (let i = 0; i < 5; i++) await runTask(requester);
    const [paid, unpaid]: [number[], number[]] = [[], []];
    for (let i = 0; i < rounds; i++) {
      unpaid.push((await runTask(requester, unpaidTask)).resultMs);
      paid.push((await runTask(requester)).resultMs);
    }
    console.error(
      `result in hand: paid ${median(paid).toFixed(1)} ms, unpaid ${median(unpaid).toFixed(1)} ms`,
    );
    return figure(
      'what the ledger adds until the result is in hand, p50',
      median(paid) - median(unpaid),
      5,
      'ms',
    );
  } finally {
    await net.stop();
  }
}

/** What everything here is made of; a busy or slow machine shows by it. */
async function signatureCheckUs(count: number): Promise<number> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const bytes = Buffer.alloc(300);
  const signature = sign(null, bytes, privateKey);
  const used = await cpuUs(async () => {
    for (let i = 0; i < count; i++) verify(null, bytes, publicKey, signature);
  });
  return used / count;
}

export async function settlements(rounds: number): Promise<Figure[]> {
  console.error(`one Ed25519 check: ${(await signatureCheckUs(2048)).toFixed(0)} µs CPU`);
  return [await ofFour(32), ...(await ofOne(10_048)), await sustained(4096), await addedToTask(rounds)];
}
