export interface FailureFacts {
  /** What a success would have been paid, 1e-8 FLOP. */
  readonly ask: bigint;
  /** How long the task's own process ran, milliseconds, as attested. */
  readonly wallMs: number;
  /** Its limit, milliseconds. */
  readonly timeoutMs: number;
  /** The least share, in thousandths: `failureFloorPermille` of the terms. */
  readonly floorPermille: number;
}

/**
 * What an attested failure of the task's own code (exit code, timeout, out of memory) is paid, in 1e-8 FLOP, rounded down:
 * ask x clamp(wall / timeout, floor, 1) (design/market.md, "What is paid"). Free work by "print, then exit 1" does not pay.
 */
export function failureShare({ ask, wallMs, timeoutMs, floorPermille }: FailureFacts): bigint {
  const timeout = BigInt(Math.max(1, Math.ceil(timeoutMs)));
  const wall = BigInt(Math.max(0, Math.floor(wallMs)));
  const least = (ask * BigInt(floorPermille)) / 1000n;
  const used = (ask * (wall < timeout ? wall : timeout)) / timeout;
  return used > least ? used : least;
}
