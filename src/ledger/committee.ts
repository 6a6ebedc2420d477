import type { GenesisInfo } from '../wire/index.ts';

/** The notaries of an epoch: `quorum` of them decide, and up to `faults` may lie. */
export interface Committee {
  readonly info: GenesisInfo;
  readonly epoch: number;
  /** Of the epoch before; null: this is the genesis's. */
  readonly previous: Committee | null;
  readonly keys: readonly string[];
  readonly faults: number;
  readonly quorum: number;
}

/** f = floor((n - 1) / 3), q = floor((n + f) / 2) + 1 (design/ledger.md). */
function sizesOf({ length }: readonly string[]): Pick<Committee, 'faults' | 'quorum'> {
  const faults = Math.floor((length - 1) / 3);
  return { faults, quorum: Math.floor((length + faults) / 2) + 1 };
}

/** The first committee: that of the genesis. */
export function committeeOf(info: GenesisInfo): Committee {
  const keys = info.genesis.notaries;
  return { info, epoch: 0, previous: null, keys, ...sizesOf(keys) };
}

/** The committee that follows on `previous`. */
export function committeeWith(keys: readonly string[], previous: Committee): Committee {
  return { info: previous.info, epoch: previous.epoch + 1, previous, keys, ...sizesOf(keys) };
}

/** The committee of `epoch`, up to that of `committee`. */
export function committeeAt(epoch: number, committee: Committee): Committee | undefined {
  let found: Committee | null = committee;
  while (found && found.epoch > epoch) found = found.previous;
  return found?.epoch === epoch ? found : undefined;
}

/** True where the founder alone decides, in one round and not in two: only as long as its network has never had other notaries. */
export function isFounderAlone({ epoch, keys }: Committee): boolean {
  return epoch === 0 && keys.length === 1;
}
