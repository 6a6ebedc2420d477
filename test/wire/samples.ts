import type { z } from 'zod';
import {
  type Asked,
  acceptanceKind,
  acceptKind,
  attestationKind,
  awardKind,
  bidKind,
  cancelKind,
  cborCid,
  certificateKind,
  checkpointKind,
  committeeKind,
  disputeKind,
  encodeCbor,
  fundsKind,
  genesisKind,
  grantKind,
  handoverKind,
  inviteKind,
  type Kind,
  type Lock,
  ledgerOrderKind,
  mutualKind,
  offerKind,
  orderKind,
  preAuthEncoding,
  proposalKind,
  rawCid,
  redeemKind,
  removalKind,
  reportKind,
  revokeKind,
  type Signer,
  seal,
  sha256,
  signerFromSeed,
  skipKind,
  standingKind,
  timeoutKind,
  trailEndKind,
  verdictKind,
  verifiedKind,
  voteKind,
} from '../../src/wire/index.ts';

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
export const hashOf = (text: string): Uint8Array => sha256(bytesOf(text));
export const signerOf = (name: string): Signer => signerFromSeed(hashOf(name));

export const [alice, bob, carol] = ['alice', 'bob', 'carol'].map(signerOf) as [Signer, Signer, Signer];

/** 2026-01-01, milliseconds. */
export const T0 = 1_767_225_600_000;
export const net = hashOf('net');
export const ref = { taskId: cborCid(bytesOf('order')), replica: 0, attempt: 1 };
export const escrowId = 'ab'.repeat(32);

/** One statement of a kind: its body in full, and who signs it. */
export interface KindSample {
  readonly kind: Kind<z.ZodType>;
  readonly body: Readonly<Record<string, unknown>>;
  readonly signers: readonly Signer[];
}

function sample<S extends z.ZodType<object>>(
  kind: Kind<S>,
  body: z.input<S>,
  ...signers: Signer[]
): KindSample {
  return { kind, body: { ...(body as object) }, signers };
}

const terms = {
  limits: { queueMs: 0, pullMs: 1, stageMs: 2, runMs: 3, collectMs: 4 },
  claimMs: 60_000,
  disputeMs: 60_000,
  verdictMs: 60_000,
  verifiers: [],
  verifierQuorum: 0,
  arbiters: [carol.peer],
  arbiterQuorum: 1,
  defaultPermille: 500,
  failureFloorPermille: 100,
};

export const asked: Asked = {
  needs: {
    milliCpus: 500,
    memoryBytes: 2 ** 28,
    diskBytes: 2 ** 26,
    gpus: null,
    network: false,
    runtime: null,
    architecture: 'amd64',
    image: 'python:3.9-slim',
    inputBytes: 17,
    outputBytes: 100,
  },
  terms,
  maxPrice: 2n ** 62n,
  priority: 5,
  deadline: T0 + 3_600_000,
  verification: 'check',
  funds: null,
};

const deal = { requester: alice.peer, worker: bob.peer, price: 1_000_000n };

const lock: Lock = {
  op: 'lock',
  amount: 2n ** 63n - 1n,
  worker: bob.peer,
  ...ref,
  termsHash: hashOf('terms'),
  claimBy: T0 + 1,
  disputeBy: T0 + 2,
  verdictBy: T0 + 2,
  verifiers: [],
  verifierQuorum: 0,
  arbiters: [carol.peer],
  arbiterQuorum: 1,
  defaultPermille: 500,
};

export const kindSamples: readonly KindSample[] = [
  sample(
    genesisKind,
    {
      name: 'testnet',
      admin: alice.peer,
      notaries: [alice.peer],
      allocations: [{ account: alice.peer, amount: 2n ** 60n }],
      treasury: alice.peer,
      feeBasisPoints: 200,
      minAmount: 10_000n,
      currency: 'FLOP',
      membership: 'open',
      openGrant: 1_000_000_000n,
      createdAt: T0,
      nonce: new Uint8Array(16),
    },
    alice,
  ),
  sample(
    orderKind,
    { net, requester: alice.peer, nonce: hashOf('nonce'), saltedSpecHash: hashOf('spec') },
    alice,
  ),
  sample(
    offerKind,
    {
      net,
      ...ref,
      requester: alice.peer,
      ...asked,
      bidWindowMs: 200,
      issuedAt: T0,
    },
    alice,
  ),
  sample(
    bidKind,
    {
      net,
      ...ref,
      worker: bob.peer,
      offerHash: hashOf('offer'),
      ask: 1_000_000n,
      queuePosition: 0,
      queueMs: 0,
      etaMs: 1500,
      imageCached: true,
      bytesMissing: 0,
      reputationHash: null,
      hints: [carol.peer],
      awardSeq: 3,
      expires: T0 + 3000,
    },
    bob,
  ),
  sample(
    awardKind,
    {
      net,
      ...ref,
      ...deal,
      offerHash: hashOf('offer'),
      bidHash: hashOf('bid'),
      specHash: hashOf('spec'),
      termsHash: hashOf('terms'),
      awardedAt: T0,
    },
    alice,
  ),
  sample(
    acceptanceKind,
    {
      net,
      ...ref,
      ...deal,
      awardHash: hashOf('award'),
      termsHash: hashOf('terms'),
      awardSeq: 3,
      previous: hashOf('before'),
      acceptedAt: T0,
    },
    bob,
  ),
  sample(
    attestationKind,
    {
      net,
      ...ref,
      escrowId,
      specHash: hashOf('spec'),
      worker: bob.peer,
      runtime: 'docker',
      imageDigest: 'sha256:0123',
      outcome: 'exited',
      exitCode: 0,
      stdoutCid: rawCid(bytesOf('out')),
      stderrCid: rawCid(bytesOf('')),
      outputCid: cborCid(Uint8Array.of(0x80)),
      usage: {
        cpuMs: 12,
        peakMemoryBytes: 9_000_000,
        wallMs: 40,
        inputBytes: 5,
        outputBytes: 6,
        stdoutBytes: 7,
        stderrBytes: 8,
      },
      startedAt: T0,
      endedAt: T0 + 40,
    },
    bob,
  ),
  sample(
    acceptKind,
    { net, escrowId, ...ref, attestation: hashOf('attestation'), verification: 'check' },
    alice,
  ),
  sample(cancelKind, { net, escrowId }, bob),
  sample(mutualKind, { net, escrowId, pay: 100_000n }, alice, bob),
  sample(disputeKind, { net, escrowId, reason: 'the output is empty' }, alice),
  sample(verdictKind, { net, escrowId, pay: 0n }, carol),
  sample(
    verifiedKind,
    { net, escrowId, attestation: hashOf('attestation'), worker: bytesOf('an envelope') },
    carol,
  ),
  sample(timeoutKind, { net, escrowId, step: 'refund' }),
  sample(
    ledgerOrderKind,
    {
      net,
      account: alice.peer,
      seq: 4,
      ops: [lock, { op: 'transfer', amount: 1n, to: carol.peer }],
    },
    alice,
  ),
  sample(inviteKind, { net, id: bob.peer, grant: 5n, uses: 3, expires: T0 }, alice),
  sample(redeemKind, { net, invite: bytesOf('invite'), use: 2, account: carol.peer }, carol, bob),
  sample(revokeKind, { net, invite: bob.peer, use: 2, amount: 5n }, alice),
  sample(removalKind, { net, invite: bob.peer, use: 2, account: carol.peer }, alice),
  sample(grantKind, { net, invite: 'open', use: bob.peer, account: bob.peer, amount: 5n }, alice),
  sample(
    certificateKind,
    { net, epoch: 0, slot: `A/${alice.peer}/4`, ballot: 0, value: hashOf('value') },
    alice,
    bob,
  ),
  sample(
    checkpointKind,
    { net, epoch: 0, decisions: 9, state: hashOf('state'), balances: 5n, escrows: 2n, at: T0 },
    alice,
    bob,
  ),
  sample(standingKind, {
    net,
    account: bob.peer,
    at: T0,
    balance: 5n,
    seq: 4,
    escrows: [{ escrowId, requester: alice.peer, lock, state: 'OPEN', steps: 0 }],
  }),
  sample(
    voteKind,
    { net, epoch: 0, slot: `A/${alice.peer}/4`, ballot: 1, value: hashOf('value') },
    alice,
    bob,
  ),
  sample(
    reportKind,
    {
      net,
      epoch: 0,
      slot: `A/${alice.peer}/4`,
      ballot: 2,
      at: T0,
      lock: { epoch: 0, ballot: 1, value: hashOf('value') },
      known: [{ value: hashOf('value'), timely: true, afford: false }],
    },
    alice,
  ),
  sample(proposalKind, { net, epoch: 0, slot: `A/${alice.peer}/4`, ballot: 2, value: hashOf('value') }, bob),
  sample(committeeKind, { net, epoch: 1, notaries: [alice.peer, bob.peer] }, alice),
  sample(
    handoverKind,
    { net, epoch: 0, after: `A/${alice.peer}/3`, locks: [hashOf('votes')], more: false, log: 7 },
    bob,
  ),
  sample(skipKind, { net, account: alice.peer, seq: 4 }),
  sample(fundsKind, { net, account: alice.peer, balance: 0n, member: true, at: T0 }, alice),
  sample(
    trailEndKind,
    {
      net,
      account: alice.peer,
      at: T0,
      entries: 3,
      lines: 5,
      seq: 2,
      confirmed: 2n ** 63n - 1n,
      locked: 7n,
      incoming: 0n,
      digest: hashOf('entries'),
    },
    alice,
  ),
];

export function envelopeOf({ kind, body, signers }: KindSample): Uint8Array {
  return seal(kind, body, ...signers).bytes;
}

export interface RawEnvelope {
  type: string;
  body: Uint8Array;
  signatures: { key: string; sig: Uint8Array }[];
}

/** Signs any body as a statement of the sample's kind, past the checks of `seal`. */
export function forge(
  { kind, signers }: KindSample,
  body: unknown,
  changes: Partial<RawEnvelope> = {},
): Uint8Array {
  const type = changes.type ?? `application/vnd.duxnode.${kind.name}.v1+dag-cbor`;
  const bodyBytes = changes.body ?? encodeCbor(body);
  const signed = preAuthEncoding(type, bodyBytes);
  const signatures = signers.map(signer => ({ key: signer.peer, sig: signer.sign(signed) }));
  return encodeCbor({ type, body: bodyBytes, signatures, ...changes });
}
