import { type Clock, type Logger, messageOf } from '../util/index.ts';
import { NetworkError } from './errors.ts';
import { MAX_JOINED, MAX_JOINED_ADDRESSES, REDIAL_FIRST_MS, REDIAL_LONGEST_MS } from './options.ts';

export interface RedialerComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Resolves once a connection is there. */
  readonly dial: (addresses: readonly string[]) => Promise<void>;
  readonly isUp: (peer: string) => boolean;
}

export interface Redialer {
  join(peer: string, address: string): void;
  start(): void;
  stop(): void;
  /** To be told of each peer that came or went. */
  onUp(peer: string): void;
  onDown(peer: string): void;
}

interface Joined {
  readonly addresses: Set<string>;
  failures: number;
  cancel: () => void;
}

/** Doubles from the first pause to the longest, less up to a quarter, so that a restarted node is not met by all at once. */
export function pauseMs(failures: number, random: number): number {
  const full = Math.min(REDIAL_FIRST_MS * 2 ** Math.max(0, failures - 1), REDIAL_LONGEST_MS);
  return full * (1 - random / 4);
}

/** Keeps the connections to joined peers up for as long as the node runs. */
export function createRedialer({ clock, logger, dial, isUp }: RedialerComponents): Redialer {
  const joined = new Map<string, Joined>();
  let running = false;

  function schedule(peer: string, entry: Joined, ms: number): void {
    entry.cancel();
    entry.cancel = clock.after(ms, () => attempt(peer, entry));
  }

  async function attempt(peer: string, entry: Joined): Promise<void> {
    if (!running || isUp(peer)) return;
    // Counted as failed until the peer shows to be of this network: see `onUp`.
    entry.failures++;
    try {
      await dial([...entry.addresses]);
    } catch (error) {
      logger.debug({ peer, failures: entry.failures, error: messageOf(error) }, 'joining failed; will retry');
    }
    if (running && !isUp(peer)) schedule(peer, entry, pauseMs(entry.failures, Math.random()));
  }

  return {
    join(peer, address) {
      let entry = joined.get(peer);
      if (!entry) {
        if (joined.size >= MAX_JOINED)
          throw new NetworkError(
            { code: 'ADDRESS_INVALID', address },
            `at most ${MAX_JOINED} peers can be joined`,
          );
        entry = { addresses: new Set(), failures: 0, cancel: () => undefined };
        joined.set(peer, entry);
      }
      if (entry.addresses.size < MAX_JOINED_ADDRESSES) entry.addresses.add(address);
      if (running) void attempt(peer, entry);
    },
    start() {
      running = true;
      for (const [peer, entry] of joined) void attempt(peer, entry);
    },
    stop() {
      running = false;
      for (const entry of joined.values()) entry.cancel();
    },
    onUp(peer) {
      const entry = joined.get(peer);
      if (!entry) return;
      entry.failures = 0;
      entry.cancel();
    },
    onDown(peer) {
      const entry = joined.get(peer);
      if (running && entry) schedule(peer, entry, pauseMs(0, Math.random()));
    },
  };
}
