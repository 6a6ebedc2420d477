import { attest, buildReceipt } from '../../src/verification/index.ts';
import {
  acceptanceKind,
  acceptKind,
  certificateKind,
  type Decided,
  escrowIdOf,
  genesisInfo,
  genesisKind,
  ledgerOrderKind,
  mutualKind,
  type Opened,
  orderKind,
  type Receipt,
  rawCid,
  type Signer,
  seal,
  sha256,
  signerFromSeed,
  taskIdOf,
} from '../../src/wire/index.ts';

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
export const signerOf = (name: string): Signer => signerFromSeed(sha256(bytesOf(name)));

export const admin = signerOf('admin');
export const requester = signerOf('requester');
export const worker = signerOf('worker');
export const stranger = signerOf('stranger');

/** 2026-01-01, milliseconds. */
export const T0 = 1_767_225_600_000;

export const info = genesisInfo(
  seal(
    genesisKind,
    {
      name: 'testnet',
      admin: admin.peer,
      notaries: [admin.peer],
      allocations: [{ account: requester.peer, amount: 1_000_000_000n }],
      treasury: admin.peer,
      feeBasisPoints: 200,
      minAmount: 1n,
      currency: 'FLOP',
      membership: 'open',
      openGrant: 0n,
      createdAt: T0,
      nonce: new Uint8Array(16),
    },
    admin,
  ),
);
export const { net } = info;

export const specHash = sha256(bytesOf('spec'));
export const termsHash = sha256(bytesOf('terms'));
export const order = seal(
  orderKind,
  { net, requester: requester.peer, nonce: sha256(bytesOf('nonce')), saltedSpecHash: specHash },
  requester,
);
export const ref = { taskId: taskIdOf(order), replica: 0, attempt: 1 };

export function decide(statement: Opened<unknown>, slot: string, ...notaries: Signer[]): Decided {
  const certificate = seal(
    certificateKind,
    { net, epoch: 0, slot, ballot: 0, value: statement.digest },
    ...(notaries.length > 0 ? notaries : [admin]),
  );
  return { certificate: certificate.bytes, value: statement.bytes };
}

export const sandboxResult = {
  outcome: 'exited',
  exitCode: 0,
  oomKilled: false,
  stdout: bytesOf('{"answer":42}\n'),
  stderr: bytesOf('a warning\n'),
  outputs: [{ path: 'b.txt', size: 1, cid: rawCid(bytesOf('b')) }],
  truncated: { stdout: false, stderr: false, outputs: false },
  usage: {
    cpuMs: 12.4,
    peakMemoryBytes: 9_000_000,
    wallMs: 40.6,
    inputBytes: 0,
    outputBytes: 1,
    stdoutBytes: 14,
    stderrBytes: 10,
  },
  startedAt: T0 + 1000,
  endedAt: T0 + 1041,
} as const;

export interface DealOptions {
  readonly price?: bigint;
  readonly payer?: Signer;
  readonly runner?: Signer;
  readonly lock?: Partial<{ amount: bigint; worker: string; termsHash: Uint8Array; attempt: number }>;
  readonly attested?: Partial<Parameters<typeof attest>[1]>;
  readonly notary?: Signer;
  /** Closes by a split instead of the requester's acceptance. */
  readonly split?: bigint;
}

/** All parts of a deal, from the order to the step that closed its escrow. */
export function dealParts(options: DealOptions = {}): Omit<Receipt, 'format'> {
  const { price = 1_000_000n, runner = worker, notary = admin } = options;
  const acceptance = seal(
    acceptanceKind,
    {
      net,
      ...ref,
      requester: requester.peer,
      worker: runner.peer,
      price,
      awardHash: sha256(bytesOf('award')),
      termsHash,
      awardSeq: price > 0n ? 7 : null,
      previous: null,
      acceptedAt: T0,
    },
    runner,
  );
  const lock = price > 0n ? sealLock(options, price, runner) : null;
  const escrowId = lock && escrowIdOf(lock, 0);
  const attestation = attest(runner, {
    net,
    ref,
    escrowId,
    specHash,
    runtime: 'docker',
    imageDigest: 'sha256:0',
    result: sandboxResult,
    ...options.attested,
  });
  const accept = seal(
    acceptKind,
    { net, escrowId, ...ref, attestation: attestation.digest, verification: 'check' },
    requester,
  );
  const mutual = escrowId && seal(mutualKind, { net, escrowId, pay: options.split ?? 0n }, requester, runner);
  const isSplit = options.split !== undefined;
  return {
    genesis: info.bytes,
    order: order.bytes,
    acceptance: acceptance.bytes,
    attestation: attestation.bytes,
    accept: isSplit ? null : accept.bytes,
    lock: lock && decide(lock, `A/${lock.body.account}/0`, notary),
    close: escrowId ? decide(isSplit && mutual ? mutual : accept, `E/${escrowId}/0`, notary) : null,
  };
}

function sealLock({ payer = requester, lock }: DealOptions, amount: bigint, runner: Signer) {
  return seal(
    ledgerOrderKind,
    {
      net,
      account: payer.peer,
      seq: 0,
      ops: [
        {
          op: 'lock',
          amount,
          worker: runner.peer,
          ...ref,
          termsHash,
          claimBy: T0 + 60_000,
          disputeBy: T0 + 120_000,
          verdictBy: T0 + 180_000,
          verifiers: [],
          verifierQuorum: 0,
          arbiters: [],
          arbiterQuorum: 0,
          defaultPermille: 500,
          ...lock,
        },
      ],
    },
    payer,
  );
}

export const receiptOf = (options: DealOptions = {}): Uint8Array => buildReceipt(dealParts(options));

/** The code of what `fn` throws; undefined when it does not throw. */
export function codeFrom(fn: () => unknown): string | undefined {
  try {
    fn();
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code);
    throw error;
  }
  return undefined;
}
