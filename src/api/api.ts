import type { AddressInfo } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { ApiError, isUnforeseen } from './errors.ts';
import { createEventLog, type EventLog } from './event-log.ts';
import { blobHandlers } from './handlers/blobs.ts';
import type { Call, HandlerParts, Handlers } from './handlers/context.ts';
import { docsHandlers } from './handlers/docs.ts';
import { ledgerHandlers } from './handlers/ledger.ts';
import { memberHandlers } from './handlers/members.ts';
import { nodeHandlers } from './handlers/node.ts';
import { notaryHandlers } from './handlers/notaries.ts';
import { resultHandlers } from './handlers/results.ts';
import { taskHandlers } from './handlers/tasks.ts';
import { walletHandlers } from './handlers/wallet.ts';
import type { Api, ApiComponents } from './interface.ts';
import { type ApiOptions, KEEP_ALIVE_MS, MAX_FOLLOWERS, STOP_GRACE_MS } from './options.ts';
import { type AnyReply, sendReply } from './reply.ts';
import { admit, endBody, readRequest } from './request.ts';
import { type Route, routerPath } from './route.ts';
import { ROUTE_IDS, type RouteId, routes } from './routes/table.ts';
import { buildServer } from './server.ts';
import { watchUnused } from './sockets.ts';
import { createMemorySpendingStore, createSpendingCap } from './spending.ts';

type AnyHandler = (request: unknown, call: Call) => Promise<AnyReply>;

/** The HTTP control port over the parts of one node. */
export function createApi(components: ApiComponents, options: ApiOptions): Api {
  return new HttpApi(components, options);
}

class HttpApi implements Api {
  readonly #components: ApiComponents;
  readonly #options: ApiOptions;
  readonly #events: EventLog;
  readonly #handlers: Handlers;
  /** Calls under way; each may be told to end. */
  readonly #calls = new Set<AbortController>();
  #followers = 0;
  #stopping = false;
  #endUnused = () => {};
  #app: FastifyInstance | undefined;

  constructor(components: ApiComponents, options: ApiOptions) {
    this.#components = components;
    this.#options = options;
    this.#events = createEventLog(components);
    const { clock, spending = createMemorySpendingStore() } = components;
    const limit = options.config.tokenless_daily_limit;
    const parts: HandlerParts = {
      ...components,
      options,
      events: this.#events,
      spendingCap: createSpendingCap({ clock, store: spending }, { limit }),
      url: () => this.url(),
    };
    this.#handlers = {
      ...taskHandlers(parts),
      ...resultHandlers(parts),
      ...blobHandlers(parts),
      ...nodeHandlers(parts),
      ...walletHandlers(parts),
      ...notaryHandlers(parts),
      ...ledgerHandlers(parts),
      ...memberHandlers(parts),
      ...docsHandlers(parts),
    };
  }

  async start(): Promise<void> {
    const { logger, clock } = this.#components;
    const app = await buildServer(this.#options, clock, (error, url) => {
      if (isUnforeseen(error)) logger.error({ err: error, url }, 'a request failed');
    });
    this.#app = app;
    this.#endUnused = watchUnused(app.server);
    app.addHook('onRequest', async request => {
      const route = (request.routeOptions.config as { route?: Route }).route;
      admit(request, route?.access ?? 'local', this.#options);
    });
    for (const id of ROUTE_IDS) this.#addRoute(app, id);
    this.#events.start();
    const { host, port } = this.#options.config;
    await app.listen({ host, port });
  }

  async stop(): Promise<void> {
    const app = this.#app;
    if (!app) return;
    this.#stopping = true;
    const stopping = new ApiError({ code: 'STOPPING' }, 'this node is stopping');
    this.#events.stop();
    for (const call of this.#calls) call.abort(stopping);
    this.#endUnused();
    const cancel = this.#components.clock.after(STOP_GRACE_MS, () => app.server.closeAllConnections());
    await app.close();
    cancel();
  }

  address(): { host: string; port: number } {
    const address = this.#app?.server.address() as AddressInfo | null | undefined;
    return { host: this.#options.config.host, port: address?.port ?? this.#options.config.port };
  }

  url(): string {
    const { host, port } = this.address();
    const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
    return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
  }

  #addRoute(app: FastifyInstance, id: RouteId): void {
    const route: Route = routes[id];
    const kinds = [route.body, ...Object.values(route.responses)].map(def => def?.kind);
    const streams = kinds.some(kind => kind === 'stream' || kind === 'upload' || kind === 'file');
    app.route({
      method: route.method,
      url: routerPath(route.path),
      exposeHeadRoute: route.method === 'GET' && !streams,
      config: { route },
      handler: (request, reply) => this.#answer(id, route, { request, reply, streams }),
    });
  }

  async #answer(
    id: RouteId,
    route: Route,
    { request, reply, streams }: { request: FastifyRequest; reply: FastifyReply; streams: boolean },
  ): Promise<FastifyReply> {
    const { clock, logger, metrics } = this.#components;
    const startedAt = clock.monotonic();
    const release = streams ? this.#follow() : () => {};
    const controller = new AbortController();
    this.#calls.add(controller);
    reply.raw.once('close', () => {
      // Kept alive, it would hold the stop back until the grace is over.
      if (this.#stopping) request.raw.socket.destroySoon();
      controller.abort(new ApiError({ code: 'STOPPING' }, 'the client is gone'));
      this.#calls.delete(controller);
      release();
      const seconds = (clock.monotonic() - startedAt) / 1000;
      const status = String(reply.raw.statusCode);
      if (!streams) metrics.observe('http_request_seconds', seconds, { route: id, status });
    });
    if (route.body?.kind === 'upload') endBody(request, reply, clock);
    const { signal } = controller;
    const { tokenless } = admit(request, route.access, this.#options);
    const handler = this.#handlers[id] as AnyHandler;
    const given = await handler(readRequest(route, request), { signal, tokenless });
    const def = route.responses[given.status];
    if (!def) throw new TypeError(`route ${id} declares no answer ${given.status}`);
    const keepAliveMs = this.#options.keepAliveMs ?? KEEP_ALIVE_MS;
    const { accept } = request.headers;
    return sendReply(reply, given, def, { clock, logger, keepAliveMs, signal, accept });
  }

  /** Takes one place among the followers; returns what gives it back. */
  #follow(): () => void {
    if (this.#followers >= MAX_FOLLOWERS)
      throw new ApiError(
        { code: 'TOO_MANY_FOLLOWERS', limit: MAX_FOLLOWERS },
        `${MAX_FOLLOWERS} streams are open already; close one`,
      );
    this.#followers++;
    return () => {
      this.#followers--;
    };
  }
}
