import { evidenceReply } from '../evidence-report.ts';
import { defineRoute, json } from '../route.ts';

export const ledgerRoutes = {
  getEvidence: defineRoute({
    access: 'local',
    method: 'GET',
    tag: 'money',
    path: '/ledger/evidence',
    summary: 'Proof against notaries and accounts that contradicted themselves, as far as this node saw it',
    responses: { 200: json(evidenceReply, 'Oldest first; checked offline by `duxnode evidence verify`') },
  }),
};
