import { LRUCache } from 'lru-cache';
import type { Clock, Logger, Metrics } from '../util/index.ts';
import { BAN_MS, FULL_SCORE, MAX_TRACKED_PEERS, PENALTY_HALF_LIFE_MS } from './options.ts';

export interface PeerScoresComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Called once when a peer's ban begins. */
  readonly onBan: (peer: string) => void;
}

export interface PeerScores {
  /** 0 (banned) to 100. */
  score(peer: string): number;
  report(peer: string, reason: string, cost: number): void;
  isBanned(peer: string): boolean;
}

interface Penalty {
  readonly points: number;
  readonly at: number;
}

/** What is left of a penalty after `elapsedMs`: half of it each half-life. */
export function decayed(points: number, elapsedMs: number): number {
  return points * 0.5 ** (elapsedMs / PENALTY_HALF_LIFE_MS);
}

/** Behaviour of peers on this node's own streams and topics, forgiven with time and forgotten at a restart. */
export function createPeerScores({ clock, logger, metrics, onBan }: PeerScoresComponents): PeerScores {
  const penalties = new LRUCache<string, Penalty>({ max: MAX_TRACKED_PEERS });
  /** Until when, by the monotonic clock. */
  const bans = new LRUCache<string, number>({ max: MAX_TRACKED_PEERS });

  function penalty(peer: string): number {
    const known = penalties.get(peer);
    return known ? decayed(known.points, clock.monotonic() - known.at) : 0;
  }

  function isBanned(peer: string): boolean {
    return (bans.get(peer) ?? 0) > clock.monotonic();
  }

  return {
    isBanned,
    score: peer => (isBanned(peer) ? 0 : Math.max(0, FULL_SCORE - penalty(peer))),
    report(peer, reason, cost) {
      metrics.count('network_breaches_total', { reason });
      if (isBanned(peer)) return;
      const points = penalty(peer) + Math.max(0, cost);
      const now = clock.monotonic();
      logger.debug({ peer, reason, cost, score: FULL_SCORE - points }, 'breach by a peer');
      if (points < FULL_SCORE) return void penalties.set(peer, { points, at: now });
      // After the ban it starts half way: a second offence is punished sooner.
      penalties.set(peer, { points: FULL_SCORE / 2, at: now + BAN_MS });
      bans.set(peer, now + BAN_MS);
      metrics.count('network_bans_total');
      logger.warn({ peer, reason, minutes: BAN_MS / 60_000 }, 'peer banned');
      onBan(peer);
    },
  };
}
