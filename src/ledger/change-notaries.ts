import { type Abortable, CodedError, hasCode } from '../util/index.ts';
import { committeeKind, type Signer, seal } from '../wire/index.ts';
import { isPassing, type LedgerClient, refused } from './client.ts';
import type { Committees } from './committees.ts';

export type ChangeErrorType = { code: 'NOT_ADMIN'; admin: string };

/** Has the notaries of now decide on those that follow, again and again while too few of them answer. Errors as `Settlement.changeNotaries`. */
export async function changeNotaries(
  { client, committees, signer }: { client: LedgerClient; committees: Committees; signer: Signer },
  notaries: readonly string[],
  { signal = new AbortController().signal }: Abortable,
): Promise<void> {
  const { epoch, info } = committees.current;
  const { admin } = info.genesis;
  if (signer.peer !== admin)
    throw new CodedError<ChangeErrorType>(
      { code: 'NOT_ADMIN', admin },
      `only the network’s admin names notaries: ask on the node ${admin}`,
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
