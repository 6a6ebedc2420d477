import { evidenceOf } from '../evidence-report.ts';
import type { ledgerRoutes } from '../routes/ledger.ts';
import type { HandlerParts, Handlers } from './context.ts';

export function ledgerHandlers({ witness, node }: HandlerParts): Pick<Handlers, keyof typeof ledgerRoutes> {
  return {
    getEvidence: async () => ({ status: 200, body: evidenceOf(node.facts().genesis, witness.proofs()) }),
  };
}
