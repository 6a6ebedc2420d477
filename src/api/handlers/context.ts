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

export type Handler<R extends Route> = (request: RouteRequest<R>, call: Call) => Promise<HandlerReply<R>>;

export type Handlers = { readonly [Id in RouteId]: Handler<Routes[Id]> };
