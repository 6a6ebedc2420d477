import { CodedError, codeOf, messageOf } from '../../util/index.ts';
import {
  attestationKind,
  CHUNK_BYTES,
  type LeaseRecord,
  open,
  type WorkerMessage,
} from '../../wire/index.ts';
import type { WorkerComponents } from './interface.ts';

/** A kept result as it is sent: its files in pieces, then what the worker attested. */
export async function* resultMessages(
  { blobs, logger }: Pick<WorkerComponents, 'blobs' | 'logger'>,
  { key, record }: { readonly key: string; readonly record: LeaseRecord },
): AsyncGenerator<WorkerMessage> {
  const { outputs, truncated, oomKilled, evidence } = record;
  const attestation = record.attestation as Uint8Array;
  try {
    for (const { path, cid } of outputs) yield* fileMessages(path, await mustGet(blobs, cid));
    const { stdoutCid, stderrCid } = open(attestationKind, attestation).body;
    const stdout = await mustGet(blobs, stdoutCid);
    const stderr = await mustGet(blobs, stderrCid);
    yield { type: 'result', attestation, stdout, stderr, truncated, oomKilled, mutual: evidence };
  } catch (error) {
    logger.error({ task: key, code: codeOf(error), error: messageOf(error) }, 'a kept result cannot be read');
    const message = 'the kept result cannot be read any more';
    yield { type: 'failed', class: 'worker', code: 'RESULT_LOST', message, evidence: null };
  }
}

function* fileMessages(path: string, bytes: Uint8Array): Generator<WorkerMessage> {
  for (let offset = 0; offset === 0 || offset < bytes.length; offset += CHUNK_BYTES)
    yield { type: 'file', path, offset, bytes: bytes.subarray(offset, offset + CHUNK_BYTES) };
}

async function mustGet(blobs: WorkerComponents['blobs'], cid: string): Promise<Uint8Array> {
  const bytes = await blobs.get(cid);
  if (!bytes) throw new CodedError({ code: 'BLOB_MISSING', cid }, `the bytes of ${cid} are gone`);
  return bytes;
}
