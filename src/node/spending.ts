import * as z from 'zod';
import type { SpendingStore } from '../api/index.ts';
import { cborCodec, type Database } from '../db/index.ts';
import { amountSchema, countSchema } from '../wire/index.ts';

const record = z.strictObject({ day: countSchema, spent: amountSchema });

/** What requests without a token have spent today, kept over restarts: a restart gives nobody a second allowance. */
export function createSpendingStore(db: Database): SpendingStore {
  const repository = db.repository<z.output<typeof record>>(
    'spending',
    cborCodec(raw => record.parse(raw)),
  );
  return {
    load: () => repository.get('today'),
    save: today => db.write([repository.putOp('today', today)]),
  };
}
