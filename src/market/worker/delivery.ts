import { CodedError, codeOf, messageOf } from '../../util/index.ts';
import {
  attestationKind,
  type LeaseRecord,
  type OutputEntry,
  open,
  type WorkerMessage,
} from '../../wire/index.ts';
import type { WorkerComponents } from './interface.ts';

type Blobs = WorkerComponents['blobs'];

/** What of a result its requester has: so many files, and of the next one so many bytes. */
export interface FilesFrom {
  readonly filesDone: number;
  readonly fileFrom: number;
}

/** A kept result as it is sent: the rest of its files in pieces, from the disk as they are asked for, then what the worker attested. */
export async function* resultMessages(
  { blobs, logger }: Pick<WorkerComponents, 'blobs' | 'logger'>,
  { key, record }: { readonly key: string; readonly record: LeaseRecord },
  { filesDone, fileFrom }: FilesFrom,
): AsyncGenerator<WorkerMessage> {
  const { outputs, truncated, oomKilled, evidence } = record;
  const attestation = record.attestation as Uint8Array;
  try {
    for (const [i, output] of outputs.slice(filesDone).entries())
      yield* fileMessages(blobs, output, i === 0 ? fileFrom : 0);
    const { stdoutCid, stderrCid } = open(attestationKind, attestation).body;
    const stdout = (await blobs.get(stdoutCid)) ?? gone(stdoutCid);
    const stderr = (await blobs.get(stderrCid)) ?? gone(stderrCid);
    yield { type: 'result', attestation, stdout, stderr, truncated, oomKilled, mutual: evidence };
  } catch (error) {
    logger.error({ task: key, code: codeOf(error), error: messageOf(error) }, 'a kept result cannot be read');
    const message = 'the kept result cannot be read any more';
    yield { type: 'failed', class: 'worker', code: 'RESULT_LOST', message, evidence: null };
  }
}

async function* fileMessages(
  blobs: Blobs,
  { path, size, cid }: OutputEntry,
  from: number,
): AsyncGenerator<WorkerMessage> {
  const reading = (await blobs.read(cid, from)) ?? gone(cid);
  let offset = from;
  if (size === 0) yield { type: 'file', path, size, offset, bytes: new Uint8Array() };
  for await (const bytes of reading.bytes) {
    yield { type: 'file', path, size, offset, bytes };
    offset += bytes.length;
  }
}

function gone(cid: string): never {
  throw new CodedError({ code: 'BLOB_MISSING', cid }, `the bytes of ${cid} are gone`);
}
