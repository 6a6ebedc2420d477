import type { Database } from '../../src/db/index.ts';
import { AccountRates, createLedgerDesk, createNotary, type Notary } from '../../src/ledger/index.ts';
import { type CodedError, silentLogger } from '../../src/util/index.ts';
import { fundsKind, type GenesisInfo, open, type Signer } from '../../src/wire/index.ts';
import { open as openDb, withTempDir } from '../db/temp-dir.ts';
import * as s from './support.ts';

/** The notary of a network that has one, over a real database. */
export interface Setting {
  readonly db: Database;
  readonly clock: ReturnType<typeof s.manualClock>;
  notary: Notary;
  restart(): Promise<void>;
  submit(...statements: { bytes: Uint8Array }[]): Promise<unknown[]>;
  balance(of: Signer): Promise<bigint>;
}

export type NotaryDb = Pick<Database, 'write' | 'repository'>;

interface Options {
  readonly genesis?: GenesisInfo;
  readonly wrap?: (db: Database) => NotaryDb;
  /** Operations a second of one account; absent: no limit. */
  readonly rate?: number;
  /** The supply cannot be counted again after what the test did. */
  readonly isBroken?: boolean;
}

/** A notary over a real database; the whole supply is counted again in the end. */
export async function withNotary(
  fn: (setting: Setting) => Promise<void>,
  { genesis = s.genesis, wrap = db => db, rate, isBroken = false }: Options = {},
): Promise<void> {
  await withTempDir(async dir => {
    const clock = s.manualClock();
    const db = await openDb(dir);
    const rates = rate === undefined ? undefined : new AccountRates(clock, rate);
    const make = () =>
      createNotary({ db: wrap(db), clock, logger: silentLogger, signer: s.admin, rates }, { genesis });
    const setting: Setting = {
      db,
      clock,
      notary: make(),
      async restart() {
        await setting.notary.stop();
        setting.notary = make();
        await setting.notary.start();
      },
      async submit(...statements) {
        const outcomes = await setting.notary.submit(statements.map(({ bytes }) => bytes));
        return outcomes.map(outcome => (outcome.ok ? 'ok' : (outcome.error as CodedError).code));
      },
      async balance(of) {
        const answer = await createLedgerDesk(setting.notary)({ type: 'funds', account: of.peer }, of.peer);
        return answer.type === 'funds' ? open(fundsKind, answer.funds).body.balance : -1n;
      },
    };
    try {
      await setting.notary.start();
      await fn(setting);
      if (!isBroken) await setting.restart();
    } finally {
      await setting.notary.stop();
      await db.close();
    }
  });
}
