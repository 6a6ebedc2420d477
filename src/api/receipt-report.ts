import { CodedError } from '../util/index.ts';
import { verifyReceipt } from '../verification/index.ts';
import { formatAmount } from './money.ts';
import type { ReceiptReportReply } from './node-replies.ts';
import { iso } from './task-views.ts';

/** Judges a receipt by its bytes alone: the first part that fails, or what it proves. */
export function reportReceipt(bytes: Uint8Array): ReceiptReportReply {
  try {
    const report = verifyReceipt(bytes);
    return {
      valid: true,
      error: null,
      receipt: {
        task_id: report.taskId,
        attempt: report.ref.attempt,
        network: report.networkName,
        network_id: report.networkId,
        requester: report.requester,
        worker: report.worker,
        outcome: report.outcome,
        exit_code: report.exitCode,
        runtime: report.runtime,
        image_digest: report.imageDigest,
        verification: report.verification,
        settlement: report.settlement,
        closed_by: report.closedBy,
        escrow_id: report.escrowId,
        price: formatAmount(report.price),
        paid: formatAmount(report.pay),
        fee: formatAmount(report.fee),
        accepted_at: iso(report.acceptedAt),
        started_at: iso(report.startedAt),
        ended_at: iso(report.endedAt),
      },
    };
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return { valid: false, error: { code: error.code, message: error.message }, receipt: null };
  }
}
