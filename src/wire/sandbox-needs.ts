import * as z from 'zod';
import { countSchema } from './primitives.ts';

/** What a task ran in: `runsc` is gVisor under a Docker engine, `native` is bubblewrap, `memory` runs nothing (tests). */
export const runtimeSchema = z.enum(['docker', 'runsc', 'native', 'memory']);

export type Runtime = z.output<typeof runtimeSchema>;

/** GPUs that a task asks for, or that a machine lends. */
export const gpusSchema = z.strictObject({
  count: countSchema.min(1).max(64),
  /** Null: any. */
  vendor: z.enum(['nvidia', 'amd']).nullable(),
  /** Of each; 0: any. */
  memoryBytes: countSchema.max(2 ** 44),
});

export type Gpus = z.output<typeof gpusSchema>;

/** A host that a task may reach: a name, or `*.` and a name for all below it; a port where it is not 80 or 443. */
export const hostPatternSchema = z
  .string()
  .max(260)
  .regex(
    /^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(:[1-9][0-9]{0,4})?$/,
    'must be a host name such as example.org, *.example.org or example.org:8443',
  );

/** Each costs a comparison for each connection; nobody listed more by hand. */
export const MAX_ALLOWED_HOSTS = 32;
