import type { Network, ProtocolLimits } from '../network/index.ts';
import { ledgerAnswerMessage, ledgerRequestMessage } from '../wire/index.ts';
import type { LedgerDesk } from './notary-desk.ts';

export const LEDGER_PROTOCOL = 'ledger';

/** A wallet batches while it waits, so one peer has one request of each sort under way, each of some milliseconds. */
export const LEDGER_LIMITS: ProtocolLimits = {
  maxBytes: ledgerRequestMessage.maxBytes,
  rate: 200,
  burst: 400,
  deadlineMs: 10_000,
};

/** Serves a notary to the network. Coded errors of the desk reach the caller as `REMOTE`. */
export function serveLedger(network: Pick<Network, 'serve'>, desk: LedgerDesk): void {
  network.serve(LEDGER_PROTOCOL, LEDGER_LIMITS, async (bytes, from) =>
    ledgerAnswerMessage.encode(await desk(ledgerRequestMessage.decode(bytes), from)),
  );
}
