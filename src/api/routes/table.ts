import { blobRoutes } from './blobs.ts';
import { docsRoutes } from './docs.ts';
import { ledgerRoutes } from './ledger.ts';
import { memberRoutes } from './members.ts';
import { nodeRoutes } from './node.ts';
import { notaryRoutes } from './notaries.ts';
import { resultRoutes } from './results.ts';
import { taskRoutes } from './tasks.ts';
import { walletRoutes } from './wallet.ts';

/** Every path of the control port, by its operation's name. */
export const routes = {
  ...taskRoutes,
  ...resultRoutes,
  ...blobRoutes,
  ...nodeRoutes,
  ...walletRoutes,
  ...notaryRoutes,
  ...ledgerRoutes,
  ...memberRoutes,
  ...docsRoutes,
};

export type Routes = typeof routes;
export type RouteId = keyof Routes;
export const ROUTE_IDS = Object.keys(routes) as RouteId[];
