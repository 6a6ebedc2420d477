import * as z from 'zod';
import { runtimeSchema } from '../wire/index.ts';
import { failed } from './errors.ts';
import { NONCE_BYTES } from './launcher/protocol.ts';

const count = z.int().min(0);

/** What finds a running box again, and tells its task's end from what the task says. */
const handleSchema = z.strictObject({
  /** As whatever holds the box calls it; what this owner does. */
  id: z.string().max(128),
  name: z.string().max(128),
  uid: count,
  runtime: runtimeSchema,
  /** The launcher's, hexadecimal. */
  nonce: z.string().regex(new RegExp(`^[0-9a-f]{${2 * NONCE_BYTES}}$`)),
  key: z.string().max(256),
  /** The folder of its mounted inputs; null: it has none. */
  inputs: z.uuid().nullable(),
  inputBytes: count,
  limits: z.strictObject({
    milliCpus: count,
    memoryBytes: count,
    diskBytes: count,
    timeoutMs: count,
    stdoutBytes: count,
    stderrBytes: count,
    outputBytes: count,
    outputFiles: count,
  }),
});

export type Handle = z.output<typeof handleSchema>;

export const encodeHandle = (handle: Handle): string => JSON.stringify(handle);

/** @throws CodedError `SANDBOX_FAILED` for what is none. */
export function decodeHandle(text: string): Handle {
  try {
    return handleSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw failed('what was noted of the running task cannot be read', { cause });
  }
}
