import * as z from 'zod';
import { amountProblem, parseAmount } from './money.ts';
import type { TaskDefaults } from './task-body.ts';

const decimalFlop = z
  .union([z.string(), z.number().transform(String)], { error: 'must be a decimal number of FLOP' })
  .superRefine((text, context) => {
    const problem = amountProblem(text);
    if (problem) context.addIssue({ code: 'custom', message: problem });
  })
  .transform(text => (amountProblem(text) ? 0n : parseAmount(text)));

/** The `api` block of the configuration. */
export const apiConfigSchema = z.strictObject({
  host: z.string().min(1).max(255).default('127.0.0.1'),
  /** 0: any free port. */
  port: z.int().min(0).max(65_535).default(8001),
  enable_cors: z
    .union([z.boolean(), z.array(z.string().regex(/^https?:\/\/[^/\s]+$/)).max(64)], {
      error: 'must be true, false or a list of origins such as https://example.org',
    })
    .default(true),
  /** `local`: this machine's user needs no token; `token`: everybody does. */
  auth: z.enum(['local', 'token']).default('local'),
  /** What requests without a token may commit to in a day. */
  tokenless_daily_limit: decimalFlop.default(100n * 100_000_000n),
  /** Requests of one client in a minute: 100 a second is more than any script needs. */
  rate_limit_per_minute: z.int().min(1).max(10_000_000).default(6000),
});

export type ApiConfig = z.output<typeof apiConfigSchema>;

export interface ApiOptions {
  readonly config: ApiConfig;
  /** The data directory's api.token. */
  readonly token: string;
  readonly taskDefaults: TaskDefaults;
  /** How soon silence on a stream is broken, so that nobody takes it for dead. */
  readonly keepAliveMs?: number | undefined;
}

/** Inline inputs (2 MiB) as base64 with code beside them; what is larger is no task. */
export const BODY_LIMIT_BYTES = 4 * 2 ** 20;
/** An upload is never longer than this, however slowly it goes on; and it is over when nothing comes for the second time. */
export const UPLOAD_TIMEOUT_MS = 3_600_000;
export const UPLOAD_SILENCE_MS = 30_000;
/** A client that takes longer to send its request than this holds a socket for nothing. */
export const REQUEST_TIMEOUT_MS = 30_000;
export const HEADERS_TIMEOUT_MS = 10_000;
/** Sockets at once: browsers and scripts of one machine stay far below. */
export const MAX_CONNECTIONS = 512;
/** Streams, uploads and downloads at once; each holds a socket, and a queue or an open file. */
export const MAX_FOLLOWERS = 128;
/** Events that one slow follower may lag behind before its stream is ended (it resumes by Last-Event-ID). */
export const FOLLOWER_QUEUE = 1000;
/** Events kept for those who resume. */
export const EVENT_HISTORY = 1000;
/** undici gives up on a body that is silent for 300 s, proxies often after 60 s. */
export const KEEP_ALIVE_MS = 15_000;
/** For the answer to reach a client whose upload is not wanted any more. */
export const LINGER_MS = 1_000;
/** How long answers under way may take once the node stops. */
export const STOP_GRACE_MS = 2000;
