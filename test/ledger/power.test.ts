import { cp, mkdir, readdir, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Database } from '../../src/db/index.ts';
import { type CommitteeNotary, createNotary, type Notary } from '../../src/ledger/index.ts';
import { startNotary } from '../../src/node/notary-mark.ts';
import { codeOf, silentLogger } from '../../src/util/index.ts';
import {
  certificateKind,
  escrowIdOf,
  type LedgerAnswer,
  type LedgerOp,
  type Opened,
  seal,
  voteKind,
} from '../../src/wire/index.ts';
import { open as openDb, withTempDir } from '../db/temp-dir.ts';
import { code } from './network.ts';
import * as s from './support.ts';

const test = suite('ledger: power cuts');
const { alice, bob, carol, FLOP } = s;

const keys = [0, 1, 2, 3].map(i => s.person(`notary ${i}`)) as [
  typeof alice,
  typeof alice,
  ...(typeof alice)[],
];
const [self, ...others] = keys;
const genesis = s.makeGenesis({ notaries: keys.map(({ peer }) => peer) });
const transfer = (to: string): LedgerOp => ({ op: 'transfer', to, amount: FLOP });
const orderTo = (to: string) => s.makeOrder(alice, 0, [transfer(to)], { net: genesis.net });
/** Alice signed both, with one number. */
const [order, rival] = [orderTo(bob.peer), orderTo(carol.peer)];
const body = { net: genesis.net, epoch: 0, slot: `A/${alice.peer}/0`, ballot: 0, value: order.digest };
const qc = seal(voteKind, body, ...keys.slice(0, 3)).bytes;
const certificate = seal(certificateKind, body, ...keys.slice(0, 3)).bytes;
const decided = { certificate, value: order.bytes };

const ofFour = { genesis, signer: self };
const alone = { genesis: s.genesis, signer: s.admin };

/** One of four notaries, or one alone, over the database in `dir`. */
async function withOne<N extends Notary = CommitteeNotary>(
  dir: string,
  fn: (notary: N, db: Database) => Promise<void>,
  afterWrite: (isSynced: boolean) => Promise<void> = async () => {},
  seat = ofFour,
): Promise<void> {
  const db = await openDb(dir);
  const write: Database['write'] = async (ops, options) => {
    await db.write(ops, options);
    await afterWrite(options?.sync === true);
  };
  const repository: Database['repository'] = (bucket, codec) => db.repository(bucket, codec);
  const notary = createNotary(
    { db: { repository, write }, clock: s.manualClock(), logger: silentLogger, signer: seat.signer },
    { genesis: seat.genesis },
  );
  try {
    await notary.start();
    await fn(notary as N, db);
  } finally {
    await notary.stop();
    await db.close();
  }
}

/** What an answer to one statement says: the signed bytes, or the code of the refusal. */
function outcome(answer: LedgerAnswer): Uint8Array | string {
  const [first] = answer.type === 'round' ? answer.outcomes : [];
  if (first?.type === 'signed') return first.signed;
  return first?.type === 'refused' ? first.code : (first?.type ?? answer.type);
}

const propose = async (notary: CommitteeNotary, { bytes }: Opened<unknown>) =>
  outcome(await notary.round({ type: 'propose', epoch: 0, values: [bytes] }, alice.peer));
const commit = async (notary: CommitteeNotary) =>
  outcome(await notary.round({ type: 'commit', items: [{ qc, value: order.bytes }] }, alice.peer));
const certify = async (notary: CommitteeNotary) =>
  outcome(await notary.round({ type: 'certify', decided: [decided] }, alice.peer));

/** What one notary does for a payment: each signs, or changes balances. */
const steps = [(notary: CommitteeNotary) => propose(notary, order), commit, certify];
const vote = seal(voteKind, body, self).bytes;
const share = seal(certificateKind, body, self).bytes;

async function logOf(dir: string): Promise<string> {
  const names = await readdir(join(dir, 'db'));
  return join(dir, 'db', names.find(name => /^\d+\.log$/.test(name))!);
}

/** The data directory as a power cut leaves it, right after the sync of each step and before its answer: of none, of the first, … */
async function cutAfterSync<N extends Notary>(
  root: string,
  steps: readonly ((notary: N) => Promise<unknown>)[],
  seat = ofFour,
): Promise<string[]> {
  const dir = join(root, 'running');
  const copies: string[] = [];
  let isOn = false;
  const copy = async () => {
    if (!isOn) return;
    const to = join(root, `cut-${copies.length}`);
    await cp(dir, to, { recursive: true });
    copies.push(to);
  };
  await withOne<N>(
    dir,
    async notary => {
      isOn = true;
      await copy();
      for (const step of steps) await step(notary);
    },
    copy,
    seat,
  );
  assert.is(copies.length, steps.length + 1);
  return copies;
}

/** Starts on what a cut left after `answered` steps, tries to have the rival voted on, and ends the payment. */
async function goOn(dir: string, answered: number): Promise<unknown> {
  let first: unknown;
  await withOne(dir, async notary => {
    first = await propose(notary, rival);
    if (answered > 0) assert.type(first, 'string', 'a vote after another one was answered');
    const again = await propose(notary, order);
    if (typeof first === 'string' && again !== 'decided')
      assert.equal(again, vote, 'the same vote, byte for byte');
    assert.equal(await commit(notary), again === 'decided' ? 'decided' : share);
    assert.is(await certify(notary), 'taken');
    const { accounts } = notary.store;
    assert.is((await accounts.get(alice.peer))?.balance, 99n * FLOP);
    assert.is((await accounts.get(bob.peer))?.balance, FLOP);
  });
  // A start counts the supply.
  await withOne(dir, async () => {});
  return first;
}

test('power fails after the sync and before the answer: what was to be said is said, and nothing else', () =>
  withTempDir(async root => {
    const [, ...synced] = await cutAfterSync(root, steps);
    for (const [i, dir] of synced.entries())
      assert.equal(await goOn(dir, i + 1), ['SLOT_VOTED', 'SLOT_VOTED', 'decided'][i]);
  }));

test('what is signed is synced before; what others have decided need not be', () =>
  withTempDir(async dir => {
    const synced: boolean[] = [];
    await withOne(
      dir,
      async notary => {
        synced.length = 0;
        for (const step of steps) await step(notary);
      },
      async isSynced => void synced.push(isSynced),
    );
    assert.equal(synced, [true, true, false]);
  }));

/** Directories as cuts before the sync of each step leave them; `answered` are the steps before. */
async function eachTorn(
  root: string,
  copies: readonly string[],
  fn: (dir: string, answered: number) => Promise<void>,
): Promise<number> {
  const sizes = await Promise.all(copies.map(async dir => (await stat(await logOf(dir))).size));
  let tried = 0;
  for (let answered = 0; answered < copies.length - 1; answered++) {
    const [from, to] = [sizes[answered]!, sizes[answered + 1]!];
    assert.ok(to > from);
    for (const length of [from, from + 1, from + 7, Math.floor((from + to) / 2), to - 1])
      for (const isZeroed of [false, true]) {
        const dir = join(root, `torn-${++tried}`);
        await cp(copies[answered + 1]!, dir, { recursive: true });
        await truncate(await logOf(dir), length);
        // Some file systems keep the new length, and zeros for what they had not written.
        if (isZeroed) await truncate(await logOf(dir), to);
        await fn(dir, answered);
        await rm(dir, { recursive: true });
      }
  }
  return tried;
}

test('power fails before the sync: a torn log opens, all or nothing of the last write is there, what was answered holds', () =>
  withTempDir(async root => {
    let lost = 0;
    const tried = await eachTorn(root, await cutAfterSync(root, steps), async (dir, answered) => {
      if (typeof (await goOn(dir, answered)) !== 'string') lost++;
    });
    assert.is(tried, 30);
    assert.ok(lost > 5 && lost <= 10, 'a first vote that nobody had may go to the rival');
  }));

/** An escrow that is locked, then paid; what speaks against each, and how it is refused once the other is decided. */
const locked = s.makeOrder(alice, 0, [s.makeLock()]);
const escrow = { escrowId: escrowIdOf(locked, 0), lock: s.makeLock() };
const paid = s.accept(escrow, alice);
const rivals = [s.makeOrder(alice, 0, [s.makeLock({ worker: carol.peer })]), s.cancel(escrow, bob)];

/** The certificate that one statement gets, or the code of the refusal. */
async function submit(notary: Notary, { bytes }: Opened<unknown>): Promise<Uint8Array | string> {
  const [outcome] = await notary.submit([bytes]);
  return outcome?.ok ? outcome.decided.certificate : codeOf(outcome?.error);
}

/** Starts on what a cut left after `answered` statements, tries what speaks against each, then the statement. How many rivals won. */
async function goOnAlone(dir: string, answered: number, certificates: readonly unknown[]): Promise<number> {
  let won = 0;
  await withOne<Notary>(
    dir,
    async notary => {
      for (const [i, statement] of [locked, paid].entries()) {
        const rival = await submit(notary, rivals[i]!);
        const again = await submit(notary, statement);
        if (typeof rival !== 'string') {
          assert.ok(i >= answered, 'the contrary of what was answered');
          assert.is(again, 'SLOT_DECIDED');
          won++;
          return;
        }
        assert.is(rival, 'SLOT_DECIDED');
        assert.equal(again, certificates[i], 'the same certificate, byte for byte');
      }
      assert.is((await notary.store.accounts.get(alice.peer))?.balance, 99n * FLOP);
    },
    undefined,
    alone,
  );
  // A start counts the supply.
  await withOne(dir, async () => {}, undefined, alone);
  return won;
}

test('one notary alone: what it signed holds after a cut on either side of the sync', () =>
  withTempDir(async root => {
    const certificates: unknown[] = [];
    const sign = [locked, paid].map(statement => async (notary: Notary) => {
      certificates.push(await submit(notary, statement));
    });
    const copies = await cutAfterSync(root, sign, alone);
    let won = 0;
    const tried = await eachTorn(root, copies, async (dir, answered) => {
      won += await goOnAlone(dir, answered, certificates);
    });
    assert.is(tried, 20);
    assert.ok(won > 5 && won < 20, `a statement that nobody had an answer to may go to the rival: ${won}`);
    for (const [i, dir] of copies.slice(1).entries())
      assert.is(await goOnAlone(dir, i + 1, certificates), i === 0 ? 1 : 0);
  }));

test('a notary that comes back with an old database knows its own signature for another’s, and signs nothing more', () =>
  withTempDir(async root => {
    const [before, voted, committed] = (await cutAfterSync(root, steps)) as [string, string, string];
    for (const dir of [before, voted]) {
      await withOne(dir, async notary => {
        assert.is(
          await code(notary.round({ type: 'certify', decided: [decided] }, alice.peer).then(refusal)),
          'LEDGER_LOST',
        );
        assert.is(
          await code(
            notary.round({ type: 'propose', epoch: 0, values: [rival.bytes] }, alice.peer).then(refusal),
          ),
          'LEDGER_LOST',
        );
      });
      assert.is(await code(withOne(dir, async () => {})), 'LEDGER_LOST', 'after a restart too');
    }
    await withOne(committed, async notary => assert.is(await certify(notary), 'taken'));
    // One that others decided without it is no proof of anything.
    const theirs = { ...decided, certificate: seal(certificateKind, body, ...others).bytes };
    await withOne(join(root, 'new'), async notary => {
      assert.is(outcome(await notary.round({ type: 'certify', decided: [theirs] }, alice.peer)), 'taken');
    });
  }));

function refusal(answer: LedgerAnswer): void {
  const said = outcome(answer);
  if (typeof said === 'string') throw Object.assign(new Error(said), { code: said });
}

test('a signature under what was decided, and removed since, is not a lost one', () =>
  withTempDir(dir =>
    withOne(dir, async (notary, db) => {
      const lock = s.makeOrder(alice, 0, [s.makeLock()], { net: genesis.net });
      const escrowId = escrowIdOf(lock, 0);
      const close = s.cancel({ escrowId, lock: s.makeLock(), net: genesis.net }, bob);
      const slots = [`A/${alice.peer}/0`, `E/${escrowId}/0`];
      const all = [lock, close].map(({ bytes, digest }, i) => {
        const at = { ...body, slot: slots[i]!, value: digest };
        const share = { qc: seal(voteKind, at, ...keys.slice(0, 3)).bytes, value: bytes };
        return {
          share,
          decided: { certificate: seal(certificateKind, at, ...keys.slice(0, 3)).bytes, value: bytes },
        };
      });
      for (const { share, decided } of all) {
        await notary.round({ type: 'commit', items: [share] }, alice.peer);
        assert.is(outcome(await notary.round({ type: 'certify', decided: [decided] }, alice.peer)), 'taken');
      }
      const { store } = notary;
      await db.write([...slots.map(slot => store.slots.delOp(slot)), store.escrows.delOp(escrowId)]);
      const again = await Promise.all(
        all.map(async ({ decided }) =>
          outcome(await notary.round({ type: 'certify', decided: [decided] }, alice.peer)),
        ),
      );
      assert.equal(again, ['ORDER_SEQ', 'taken']);
      const next = s.makeOrder(alice, 1, [transfer(bob.peer)], { net: genesis.net });
      assert.instance(await propose(notary, next), Uint8Array);
    }),
  ));

test('a notary whose database is gone does not begin anew with its old key', () =>
  withTempDir(async root => {
    const dir = join(root, 'node');
    await mkdir(dir);
    const start = async () => {
      const db = await openDb(dir);
      const parts = { db, clock: s.manualClock(), logger: silentLogger, signer: self };
      const notary = createNotary(parts, { genesis });
      try {
        await startNotary(notary, dir);
      } finally {
        await notary.stop();
        await db.close();
      }
    };
    assert.is(await code(start()), 'RESOLVED');
    assert.is(await code(start()), 'RESOLVED', 'with its ledger it starts again');
    await rm(join(dir, 'db'), { recursive: true });
    assert.is(await code(start()), 'LEDGER_LOST');
    assert.is(await code(start()), 'LEDGER_LOST');
  }));

test.run();
