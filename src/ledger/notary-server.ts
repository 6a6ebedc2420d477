import type { Network, ProtocolLimits } from '../network/index.ts';
import { codeOf } from '../util/index.ts';
import { type LedgerRequest, ledgerAnswerMessage, ledgerRequestMessage } from '../wire/index.ts';
import type { LedgerDesk } from './notary-desk.ts';

export const LEDGER_PROTOCOL = 'ledger';

/** A wallet batches while it waits, so one peer has few requests under way; beside them it asks for its funds and trail. */
export const LEDGER_LIMITS: ProtocolLimits = {
  maxBytes: ledgerRequestMessage.maxBytes,
  rate: 50,
  burst: 100,
  deadlineMs: 10_000,
};

/** Of a request that is no request, or holds a statement that nobody signed so, or another than its own parties did: ten of these and the peer is banned. */
const BREACH_COST = 10;
const isBreach = (code: string): boolean =>
  /^(WIRE_|STATEMENT_(KIND|SIGNER|NETWORK)$|ESCROW_SIGNERS$)/.test(code);

/** Serves a notary to the network. Coded errors of the desk reach the caller as `REMOTE`. */
export function serveLedger(network: Pick<Network, 'serve' | 'report'>, desk: LedgerDesk): void {
  function decode(bytes: Uint8Array, from: string): LedgerRequest {
    try {
      return ledgerRequestMessage.decode(bytes);
    } catch (error) {
      network.report(from, codeOf(error), BREACH_COST);
      throw error;
    }
  }

  network.serve(LEDGER_PROTOCOL, LEDGER_LIMITS, async (bytes, from) => {
    const answer = await desk(decode(bytes, from), from);
    const outcomes = answer.type === 'outcomes' ? answer.outcomes : [];
    for (const outcome of outcomes)
      if (!outcome.ok && isBreach(outcome.code)) {
        network.report(from, outcome.code, BREACH_COST);
        break;
      }
    return ledgerAnswerMessage.encode(answer);
  });
}
