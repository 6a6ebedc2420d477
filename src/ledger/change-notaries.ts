import { type Abortable, CodedError, hasCode } from '../util/index.ts';
import { committeeKind, type Signer, seal } from '../wire/index.ts';
import type { Checkpoints } from './checkpoints.ts';
import { isPassing, type LedgerClient, refused } from './client.ts';
import type { Committees } from './committees.ts';

export type ChangeErrorType = { code: 'NOT_ADMIN'; admin: string } | { code: 'LOG_COMPACTED' };

export interface ChangeComponents {
  readonly client: LedgerClient;
  readonly committees: Committees;
  readonly signer: Signer;
  /** Those of this node's own notary. */
  readonly checkpoints?: Pick<Checkpoints, 'isWhole'> | undefined;
}

/** Has the notaries of now decide on those that follow, again and again while too few of them answer. Errors as `Settlement.changeNotaries`. */
export async function changeNotaries(
  { client, committees, signer, checkpoints }: ChangeComponents,
  notaries: readonly string[],
  { signal = new AbortController().signal }: Abortable,
): Promise<void> {
  const { epoch, info, keys } = committees.current;
  const { admin } = info.genesis;
  if (signer.peer !== admin)
    throw new CodedError<ChangeErrorType>(
      { code: 'NOT_ADMIN', admin },
      `only the network’s admin names notaries: ask on the node ${admin}`,
    );
  if (notaries.some(peer => !keys.includes(peer)) && (await checkpoints?.isWhole()) === false)
    throw new CodedError<ChangeErrorType>(
      { code: 'LOG_COMPACTED' },
      'the ledger’s log was compacted: notaries can only be added before its first removal',
    );
  const body = { net: info.net, epoch: epoch + 1, notaries: [...notaries] };
  const values = [seal(committeeKind, body, signer).bytes];
  for (let attempt = 0; committees.current.epoch === epoch; attempt++) {
    try {
      const { outcomes } = await client.request({ type: 'submit', values }, 'outcomes', { signal });
      const [outcome] = outcomes;
      if (outcome?.ok) return await committees.take([outcome.decided]);
      if (outcome && !isPassing(outcome.code)) throw refused(outcome.code, outcome.message);
    } catch (error) {
      signal.throwIfAborted();
      if (!hasCode(error, 'LEDGER_UNREACHABLE')) throw error;
    }
    await client.pause(attempt, signal);
  }
}
