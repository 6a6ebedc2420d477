import * as z from 'zod';
import { cborCodec, type Database } from '../db/index.ts';
import type { BroughtImage, ImageJournal } from '../sandbox/index.ts';
import { countSchema, timeSchema } from '../wire/index.ts';

const record = z.strictObject({
  ref: z.string().min(1).max(255),
  engine: z.string().max(255),
  digest: z.string().max(255),
  sizeBytes: countSchema,
  usedAt: timeSchema,
});

/** The sandbox keeps far fewer; what is more than this is no journal of ours. */
const MAX_IMAGES = 10_000;

/** Which images this node pulled itself, kept over restarts: no other is ever removed. */
export function createImageJournal(db: Database): ImageJournal {
  const repository = db.repository<BroughtImage>(
    'images',
    cborCodec(raw => record.parse(raw)),
  );
  return {
    async load() {
      const images: BroughtImage[] = [];
      for await (const [, image] of repository.iterate({ limit: MAX_IMAGES })) images.push(image);
      return images;
    },
    save: image => db.write([repository.putOp(image.ref, image)]),
    remove: ({ ref }) => db.write([repository.delOp(ref)]),
  };
}
