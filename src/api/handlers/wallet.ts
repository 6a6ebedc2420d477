import { peekSlot } from '../../ledger/index.ts';
import { totalOf } from '../../reputation/index.ts';
import { hasCode } from '../../util/index.ts';
import type { ShareSums } from '../../wire/index.ts';
import { ApiError } from '../errors.ts';
import { formatAmount } from '../money.ts';
import { attachment } from '../reply.ts';
import type { walletRoutes } from '../routes/wallet.ts';
import { iso } from '../task-views.ts';
import { TRAIL_TEXTS } from '../trail-file.ts';
import { writeTrail } from '../trail-report.ts';
import { type HandlerParts, type Handlers, withNotaries } from './context.ts';

const DEFAULT_HISTORY = 50;

const formatLimit = (limit: bigint | null) => (limit === null ? null : formatAmount(limit));

const sumsOf = ({ tasks, cpuMs, wallMs, amount }: ShareSums) => ({
  tasks,
  cpu_seconds: cpuMs / 1000,
  wall_seconds: wallMs / 1000,
  amount: formatAmount(amount),
});

export function walletHandlers(parts: HandlerParts): Pick<Handlers, keyof typeof walletRoutes> {
  const { settlement, shares, options, node } = parts;
  /** A notary's trail is on its own disk: fees and grants of others' deals show at once. Others read theirs now and then. */
  const refresh = async (signal: AbortSignal): Promise<void> => {
    if (settlement.status().isNotary) await settlement.sync({ signal });
  };
  return {
    async getWallet(_request, { signal }) {
      await refresh(signal);
      const { free, locked, incoming } = settlement.balance();
      const { perDay, today } = settlement.spending();
      const body = {
        account: settlement.account,
        currency: node.facts().currency,
        balance: formatAmount(free),
        locked: formatAmount(locked),
        incoming: formatAmount(incoming),
        limits: {
          per_task: formatLimit(options.taskDefaults.maxPerTask),
          per_day: formatLimit(perDay),
          spent_today: formatAmount(today),
        },
        note: settlement.status().note,
      };
      return { status: 200, body };
    },
    async getWalletHistory({ query: { limit = DEFAULT_HISTORY, before } }, { signal }) {
      await refresh(signal);
      const found = await settlement.history(limit, before);
      const entries = found.map(entry => ({
        index: entry.index,
        kind: entry.kind,
        change: formatAmount(entry.change),
        counterpart: entry.counterpart,
        task_id: entry.taskId,
        escrow_id: entry.escrowId,
        slot: entry.slot,
      }));
      const next = found.length === limit ? (found.at(-1)?.index ?? null) : null;
      return { status: 200, body: { entries, next } };
    },
    async getShares() {
      const known = shares.list();
      const { lent, used } = totalOf(known);
      const listed = known.map(share => ({
        peer_id: share.peer,
        lent: sumsOf(share.lent),
        used: sumsOf(share.used),
        since: iso(share.since),
        last_at: iso(share.lastAt),
      }));
      return { status: 200, body: { shares: listed, total: { lent: sumsOf(lent), used: sumsOf(used) } } };
    },
    async getCertificate({ params: { slot } }) {
      const decided = await settlement.certificate(slot);
      if (!decided)
        throw new ApiError({ code: 'CERTIFICATE_NOT_FOUND', slot }, 'this account’s trail has no such slot');
      const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
      const body = { slot, certificate: base64(decided.certificate), statement: base64(decided.value) };
      return { status: 200, body };
    },
    async exportWallet({ query: { format = 'json' } }, { signal }) {
      await refresh(signal);
      const bytes = writeTrail(settlement.trail({ signal }), format);
      const headers = {
        'content-type': TRAIL_TEXTS[format].mediaType,
        'content-disposition': attachment(`wallet-${settlement.account}.${format}`),
      };
      return { status: 200, headers, body: { size: null, bytes } };
    },
    async sendMoney({ body, headers }, call) {
      const { to, amount, again } = body;
      const sent = { to, amount: formatAmount(amount), currency: node.facts().currency };
      try {
        const how = { key: headers['idempotency-key'], guarded: !again };
        const decided = await withNotaries(
          parts,
          call,
          signal => settlement.transfer(to, amount, { ...how, signal }),
          'no notary answers, and this request has sent nothing: try again later',
        );
        return { status: 200, body: { ...sent, status: 'sent', slot: peekSlot(decided) ?? null } };
      } catch (error) {
        if (!hasCode(error, 'SEND_PENDING')) throw error;
        return { status: 202, body: { ...sent, status: 'pending', slot: null } };
      }
    },
  };
}
