import { CodedError } from '../../util/index.ts';
import type { EventLog } from '../event-log.ts';
import type { ApiComponents } from '../interface.ts';
import type { ApiOptions } from '../options.ts';
import type { HandlerReply, Route, RouteRequest } from '../route.ts';
import type { RouteId, Routes } from '../routes/table.ts';
import type { SpendingCap } from '../spending.ts';

/** What every handler may use. */
export interface HandlerParts extends ApiComponents {
  readonly options: ApiOptions;
  readonly spendingCap: SpendingCap;
  readonly events: EventLog;
  readonly url: () => string;
}

/** What is known of one call beside what its route declares. */
export interface Call {
  /** Aborts when the client is gone or the node stops. */
  readonly signal: AbortSignal;
  readonly tokenless: boolean;
}

/** A notary's answer is waited for so long; `signal` ends then, or with the call. */
const NOTARY_WAIT_MS = 10_000;

/** Ends what `fn` waits for with the call, or when no notary answers in time. */
export async function withNotaries<T>(
  { clock }: Pick<HandlerParts, 'clock'>,
  { signal }: Call,
  fn: (signal: AbortSignal) => Promise<T>,
  sentence = 'no notary answers in time: try again later',
): Promise<T> {
  const deadline = new AbortController();
  const cancel = clock.after(NOTARY_WAIT_MS, () =>
    deadline.abort(new CodedError({ code: 'LEDGER_UNREACHABLE' }, sentence)),
  );
  try {
    return await fn(AbortSignal.any([signal, deadline.signal]));
  } finally {
    cancel();
  }
}

export type Handler<R extends Route> = (request: RouteRequest<R>, call: Call) => Promise<HandlerReply<R>>;

export type Handlers = { readonly [Id in RouteId]: Handler<Routes[Id]> };
