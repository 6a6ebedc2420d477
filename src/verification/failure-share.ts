import { bundleResultMessage, type MemberResult, ranWell, type TaskSpec } from '../wire/index.ts';

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

/** A result as far as its price depends on it. */
export interface Earning {
  readonly outcome: MemberResult['outcome'];
  readonly exitCode: number;
  readonly usage: { readonly wallMs: number };
  readonly stdout: Uint8Array;
}

/**
 * What a worker has earned with a result: the ask, or of a failed run its share. Of a bundle an equal part of the ask for each run that
 * ended well, the failed run's share of that part for each that did not, and nothing for what was not run.
 * @throws WireError for the stdout of a bundle that is none.
 */
export function earned(
  spec: Pick<TaskSpec, 'members' | 'timeoutMs'>,
  result: Earning,
  facts: Omit<FailureFacts, 'wallMs'>,
): bigint {
  const { ask, floorPermille } = facts;
  if (ranWell(result)) return ask;
  if (!spec.members) return failureShare({ ...facts, wallMs: result.usage.wallMs });
  const { runs } = bundleResultMessage.decode(result.stdout);
  const members = BigInt(spec.members.length);
  const part = { ask: ask / members, timeoutMs: spec.timeoutMs, floorPermille };
  const good = runs.filter(ranWell).length;
  const failed = runs.filter(run => !ranWell(run));
  return failed.reduce(
    (sum, { wallMs }) => sum + failureShare({ ...part, wallMs }),
    (ask * BigInt(good)) / members,
  );
}
