import { cp, mkdir, readdir, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Database } from '../../src/db/index.ts';
import { type CommitteeNotary, createNotary } from '../../src/ledger/index.ts';
import { startNotary } from '../../src/node/notary-mark.ts';
import { silentLogger } from '../../src/util/index.ts';
import {
  certificateKind,
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

/** One of four notaries, over the database in `dir`. */
async function withOne(
  dir: string,
  fn: (notary: CommitteeNotary, db: Database) => Promise<void>,
  afterSync: () => Promise<void> = async () => {},
): Promise<void> {
  const db = await openDb(dir);
  const write: Database['write'] = async (ops, options) => {
    await db.write(ops, options);
    await afterSync();
  };
  const repository: Database['repository'] = (bucket, codec) => db.repository(bucket, codec);
  const notary = createNotary(
    { db: { repository, write }, clock: s.manualClock(), logger: silentLogger, signer: self },
    { genesis },
  );
  try {
    await notary.start();
    await fn(notary as CommitteeNotary, db);
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
  outcome(await notary.round({ type: 'propose', values: [bytes] }));
const commit = async (notary: CommitteeNotary) =>
  outcome(await notary.round({ type: 'commit', items: [{ qc, value: order.bytes }] }));
const certify = async (notary: CommitteeNotary) =>
  outcome(await notary.round({ type: 'certify', decided: [decided] }));

/** What one notary does for a payment: each signs, or changes balances. */
const steps = [(notary: CommitteeNotary) => propose(notary, order), commit, certify];
const vote = seal(voteKind, body, self).bytes;
const share = seal(certificateKind, body, self).bytes;

async function logOf(dir: string): Promise<string> {
  const names = await readdir(join(dir, 'db'));
  return join(dir, 'db', names.find(name => /^\d+\.log$/.test(name))!);
}

/** The data directory as a power cut leaves it, right after the sync of each step and before its answer: of none, of the first, … */
async function cutAfterSync(root: string): Promise<string[]> {
  const dir = join(root, 'running');
  const copies: string[] = [];
  let isOn = false;
  const copy = async () => {
    if (!isOn) return;
    const to = join(root, `cut-${copies.length}`);
    await cp(dir, to, { recursive: true });
    copies.push(to);
  };
  await withOne(
    dir,
    async notary => {
      isOn = true;
      await copy();
      for (const step of steps) await step(notary);
    },
    copy,
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
    const [, ...synced] = await cutAfterSync(root);
    for (const [i, dir] of synced.entries())
      assert.equal(await goOn(dir, i + 1), ['SLOT_VOTED', 'SLOT_VOTED', 'decided'][i]);
  }));

test('power fails before the sync: a torn log opens, all or nothing of the last write is there, what was answered holds', () =>
  withTempDir(async root => {
    const copies = await cutAfterSync(root);
    const sizes = await Promise.all(copies.map(async dir => (await stat(await logOf(dir))).size));
    let [tried, lost] = [0, 0];
    for (let answered = 0; answered < steps.length; answered++) {
      const [from, to] = [sizes[answered]!, sizes[answered + 1]!];
      assert.ok(to > from);
      const lengths = [from, from + 1, from + 7, Math.floor((from + to) / 2), to - 1];
      for (const length of lengths)
        for (const isZeroed of [false, true]) {
          const dir = join(root, `torn-${++tried}`);
          await cp(copies[answered + 1]!, dir, { recursive: true });
          await truncate(await logOf(dir), length);
          // Some file systems keep the new length, and zeros for what they had not written.
          if (isZeroed) await truncate(await logOf(dir), to);
          if (typeof (await goOn(dir, answered)) !== 'string') lost++;
          await rm(dir, { recursive: true });
        }
    }
    assert.is(tried, 30);
    assert.ok(lost > 5 && lost <= 10, 'a first vote that nobody had may go to the rival');
  }));

test('a notary that comes back with an old database knows its own signature for another’s, and signs nothing more', () =>
  withTempDir(async root => {
    const [before, voted, committed] = (await cutAfterSync(root)) as [string, string, string];
    for (const dir of [before, voted]) {
      await withOne(dir, async notary => {
        assert.is(
          await code(notary.round({ type: 'certify', decided: [decided] }).then(refusal)),
          'LEDGER_LOST',
        );
        assert.is(
          await code(notary.round({ type: 'propose', values: [rival.bytes] }).then(refusal)),
          'LEDGER_LOST',
        );
      });
      assert.is(await code(withOne(dir, async () => {})), 'LEDGER_LOST', 'after a restart too');
    }
    await withOne(committed, async notary => assert.is(await certify(notary), 'taken'));
    // One that others decided without it is no proof of anything.
    const theirs = { ...decided, certificate: seal(certificateKind, body, ...others).bytes };
    await withOne(join(root, 'new'), async notary => {
      assert.is(outcome(await notary.round({ type: 'certify', decided: [theirs] })), 'taken');
    });
  }));

function refusal(answer: LedgerAnswer): void {
  const said = outcome(answer);
  if (typeof said === 'string') throw Object.assign(new Error(said), { code: said });
}

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
