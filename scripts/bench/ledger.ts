/** CPU of one notary and its wallet for a lock and its release, in µs an operation: `npx tsx scripts/bench/ledger.ts`. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase } from '../../src/db/index.ts';
import { createLedgerDesk, createNotary, createSettlement, type Escrow } from '../../src/ledger/index.ts';
import { silentLogger, systemClock } from '../../src/util/index.ts';
import {
  acceptKind,
  escrowIdOf,
  type GenesisInfo,
  genesisInfo,
  genesisKind,
  type Lock,
  ledgerOrderKind,
  rawCid,
  type Signer,
  seal,
  sha256,
  signerFromSeed,
} from '../../src/wire/index.ts';

const COUNT = 2_048;
const AMOUNT = 1_000_000n;
const admin = signerFromSeed(sha256(Buffer.from('bench admin')));
const worker = signerFromSeed(sha256(Buffer.from('bench worker')));
const hash = sha256(Buffer.from('bench'));

function makeGenesis(): GenesisInfo {
  const body = {
    name: 'bench',
    admin: admin.peer,
    notaries: [admin.peer],
    allocations: [{ account: admin.peer, amount: 10n ** 15n }],
    treasury: admin.peer,
    feeBasisPoints: 200,
    currency: 'FLOP' as const,
    membership: 'open' as const,
    openGrant: 0n,
    createdAt: Date.now(),
    nonce: new Uint8Array(16),
  };
  return genesisInfo(seal(genesisKind, body, admin));
}

function makeLock(name: string): Lock {
  const at = Date.now() + 3_600_000;
  return {
    op: 'lock',
    amount: AMOUNT,
    worker: worker.peer,
    taskId: rawCid(Buffer.from(name)),
    replica: 0,
    attempt: 1,
    termsHash: hash,
    claimBy: at,
    disputeBy: at + 1,
    verdictBy: at + 2,
    verifiers: [],
    verifierQuorum: 0,
    arbiters: [],
    arbiterQuorum: 0,
    defaultPermille: 500,
  };
}

function acceptOf(
  net: Uint8Array,
  { escrowId, lock }: Pick<Escrow, 'escrowId' | 'lock'>,
  signer: Signer,
): Uint8Array {
  const { taskId, replica, attempt } = lock;
  const body = { net, escrowId, taskId, replica, attempt, attestation: hash, verification: 'check' as const };
  return seal(acceptKind, body, signer).bytes;
}

/** Prints the CPU and the time of `fn`, an operation. */
async function measure<T>(what: string, count: number, fn: () => Promise<T>): Promise<T> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  const result = await fn();
  const { user, system } = process.cpuUsage(cpu);
  const wallUs = ((performance.now() - start) * 1000) / count;
  console.log(`${what}: ${((user + system) / count).toFixed(0)} µs CPU, ${wallUs.toFixed(0)} µs wall`);
  return result;
}

const dir = await mkdtemp(join(tmpdir(), 'duxnode-bench-'));
const db = await openDatabase({ logger: silentLogger, clock: systemClock }, { dir });
const genesis = makeGenesis();
const { net } = genesis;
const notary = createNotary({ db, clock: systemClock, logger: silentLogger, signer: admin }, { genesis });
await notary.start();

/** `COUNT` locks in orders of `size`, and the release of each, at the notary alone. */
async function benchNotary(seqFrom: number, size: number): Promise<void> {
  const orders = Array.from({ length: COUNT / size }, (_, i) => {
    const ops = Array.from({ length: size }, (_, j) => makeLock(`${size}/${i}/${j}`));
    return seal(ledgerOrderKind, { net, account: admin.peer, seq: seqFrom + i, ops }, admin);
  });
  const accepts = orders.flatMap(order =>
    order.body.ops.map((op, i) => acceptOf(net, { escrowId: escrowIdOf(order, i), lock: op as Lock }, admin)),
  );
  const submitAll = async (values: Uint8Array[]) => {
    for (let i = 0; i < values.length; i += 64) {
      const outcomes = await notary.submit(values.slice(i, i + 64));
      if (!outcomes.every(({ ok }) => ok)) throw new Error('refused');
    }
  };
  await measure(`notary, lock, ${size} an order`, COUNT, () => submitAll(orders.map(({ bytes }) => bytes)));
  await measure('notary, release, batches of 64', COUNT, () => submitAll(accepts));
}

await benchNotary(0, 1);
await benchNotary(COUNT, 64);

const network = { call: () => Promise.reject(new Error('no network here')) };
const wallet = createSettlement(
  {
    network,
    db,
    clock: systemClock,
    logger: silentLogger,
    signer: admin,
    notary: { peer: admin.peer, desk: createLedgerDesk(notary) },
  },
  { genesis },
);
await wallet.start();
await wallet.sync();
const { op: _, taskId, replica, attempt, ...terms } = makeLock('wallet');
const escrows = await measure('wallet and notary, lock, all at once', COUNT, () =>
  Promise.all(
    Array.from({ length: COUNT }, (_, i) =>
      wallet.lock({ taskId: rawCid(Buffer.from(`w${i}`)), replica, attempt }, terms),
    ),
  ),
);
await measure('wallet and notary, release, all at once', COUNT, () =>
  Promise.all(escrows.map(escrow => wallet.settle(escrow, acceptOf(net, escrow, admin)))),
);
await wallet.stop();
await notary.stop();
await db.close();
await rm(dir, { recursive: true });
