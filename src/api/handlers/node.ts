import { hasCode } from '../../util/index.ts';
import type { PartHealth } from '../interface.ts';
import type { HealthReply, NodeReply, PruneReply, StatsReply } from '../node-replies.ts';
import { reportReceipt } from '../receipt-report.ts';
import type { nodeRoutes } from '../routes/node.ts';
import { iso } from '../task-views.ts';
import type { HandlerParts, Handlers } from './context.ts';

const MIB = 2 ** 20;
const ok = (detail: string | null = null): PartHealth => ({ status: 'ok', detail });

/** Notaries of now that contradicted themselves. */
function liarsOf({ settlement, witness }: HandlerParts): string[] {
  const { notaries } = settlement.status();
  const proofs = witness.proofs().filter(({ rule }) => rule !== 'ordered-twice');
  const accused = new Set(proofs.map(({ signer }) => signer));
  return notaries.filter(peer => accused.has(peer));
}

function ledgerOf(parts: HandlerParts): PartHealth {
  const { reachable, fault, note } = parts.settlement.status();
  const liars = liarsOf(parts);
  if (reachable && !fault && liars.length === 0) return ok(note);
  const lie = `${liars.join(', ')} contradicted itself as a notary: duxnode evidence shows the proof`;
  return { status: 'degraded', detail: fault ?? (reachable ? lie : note) };
}

/** Each part's state. Without peers, sandbox or notary a node still serves its user: that is `degraded` at worst. */
function healthOf(parts: HandlerParts): HealthReply {
  const { network, executor, node } = parts;
  const peers = network.peers().length;
  const sandbox = executor?.status();
  const docker: PartHealth =
    sandbox === undefined
      ? ok('this node runs no tasks itself')
      : sandbox.available
        ? ok(sandbox.version)
        : { status: 'degraded', detail: sandbox.reason };
  const states = {
    p2p: ok(peers === 0 ? 'no peers are connected' : `${peers} peers`),
    docker,
    db: node.storage(),
    ledger: ledgerOf(parts),
  };
  const all = Object.values(states).map(part => part.status);
  const status = all.includes('down') ? 'down' : all.includes('degraded') ? 'degraded' : 'ok';
  return { status, ...states };
}

function nodeOf({ network, executor, settlement, membership, node, market, url }: HandlerParts): NodeReply {
  const facts = node.facts();
  const { worker } = market.stats();
  const sandbox = executor?.status();
  const ledger = settlement.status();
  return {
    peer_id: network.self,
    addresses: network.addresses(),
    network: facts.network,
    network_id: facts.networkId,
    membership: facts.membership,
    currency: facts.currency,
    version: facts.version,
    started_at: iso(facts.startedAt),
    pid: process.pid,
    worker: { enabled: facts.workerEnabled, slots: worker.slots, draining: worker.draining },
    sandbox: {
      runtime: executor?.runtime ?? 'none',
      available: sandbox?.available ?? false,
      version: sandbox?.version ?? null,
      reason: sandbox?.reason ?? null,
    },
    ledger: {
      is_notary: ledger.isNotary,
      reachable: ledger.reachable,
      member: membership.isOpen ? ledger.member : membership.has(network.self),
      notaries: [...ledger.notaries],
      note: ledger.note,
    },
    api: { url: url() },
  };
}

function statsOf({ market }: HandlerParts): StatsReply {
  const stats = market.stats();
  const { worker } = stats;
  return {
    active_tasks: stats.active,
    pending_tasks: stats.pending,
    completed_tasks: stats.completed,
    failed_tasks: stats.failed,
    cancelled_tasks: stats.cancelled,
    scheduler_stats: { success_rate: stats.successRate },
    worker_stats: {
      status: worker.draining ? 'draining' : 'running',
      running_tasks: worker.running,
      queued_tasks: worker.queued,
      executed_tasks: worker.executed,
      slots: worker.slots,
      free_cpu_cores: worker.freeMilliCpus / 1000,
      free_memory_mb: worker.freeMemoryBytes / MIB,
    },
  };
}

function engineOf({ market }: HandlerParts) {
  const { active, worker } = market.stats();
  const status = worker.draining ? ('draining' as const) : ('running' as const);
  return { status, active_tasks: active, running_here: worker.running };
}

/** Images go where there is an engine to ask; results always. */
async function pruneImages(
  { executor }: HandlerParts,
  options: { all: boolean; signal: AbortSignal },
): Promise<Pick<PruneReply, 'images' | 'note'>> {
  try {
    const removed = (await executor?.prune(options)) ?? [];
    return { images: removed.map(({ ref, bytes }) => ({ name: ref, size_bytes: bytes })), note: null };
  } catch (error) {
    if (!hasCode(error, 'SANDBOX_UNAVAILABLE')) throw error;
    return { images: [], note: error.message };
  }
}

async function prune(parts: HandlerParts, all: boolean, signal: AbortSignal): Promise<PruneReply> {
  const { results, tasks, bytes } = await parts.market.prune();
  const { images, note } = await pruneImages(parts, { all, signal });
  return {
    freed_bytes: images.reduce((sum, image) => sum + image.size_bytes, bytes),
    results: { removed: results, forgotten_tasks: tasks, freed_bytes: bytes },
    images,
    note,
  };
}

export function nodeHandlers(parts: HandlerParts): Pick<Handlers, keyof typeof nodeRoutes> {
  const { market, network, node } = parts;
  return {
    getStats: async () => ({ status: 200, body: statsOf(parts) }),
    async startEngine() {
      await market.resume();
      return { status: 200, body: engineOf(parts) };
    },
    async stopEngine() {
      await market.drain();
      return { status: 200, body: engineOf(parts) };
    },
    async pruneEngine({ query: { all } }, { signal }) {
      return { status: 200, body: await prune(parts, all, signal) };
    },
    async getHealth() {
      const body = healthOf(parts);
      return { status: body.status === 'down' ? 503 : 200, body };
    },
    getLive: async () => ({ status: 200, body: { status: 'ok' } }),
    async getReady() {
      return node.storage().status === 'down'
        ? { status: 503, body: { status: 'down' } }
        : { status: 200, body: { status: 'ok' } };
    },
    getNode: async () => ({ status: 200, body: nodeOf(parts) }),
    async stopNode() {
      node.requestStop();
      return { status: 202, body: { status: 'stopping' } };
    },
    async listPeers() {
      const peers = network.peers().map(peer => ({
        peer_id: peer.peer,
        addresses: [...peer.addresses],
        direction: peer.direction,
        rtt_ms: peer.rttMs,
        agent: peer.agent,
        connected_at: iso(peer.connectedAt),
        score: peer.score,
      }));
      return { status: 200, body: { peers } };
    },
    async verifyReceipt({ body }) {
      return { status: 200, body: reportReceipt(body) };
    },
  };
}
