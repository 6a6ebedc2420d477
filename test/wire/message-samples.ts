import type { z } from 'zod';
import {
  experienceRecordMessage,
  idempotencyMessage,
  leaseChainMessage,
  leaseRecordMessage,
  ledgerAnswerMessage,
  ledgerRequestMessage,
  type Message,
  offerAnswerMessage,
  rawCid,
  receiptMessage,
  requesterMessage,
  shareRecordMessage,
  statusAnswerMessage,
  statusRequestMessage,
  taskOrderMessage,
  taskRecordMessage,
  taskSpecMessage,
  workerMessage,
} from '../../src/wire/index.ts';
import { alice, bob, bytesOf, escrowId, hashOf, ref, T0 } from './samples.ts';

/** One value of a message; `variant` where the message is a choice. */
export interface MessageSample {
  readonly message: Message<z.ZodType>;
  readonly variant: string;
  readonly value: Readonly<Record<string, unknown>>;
}

function samples<S extends z.ZodType<object>>(message: Message<S>, ...values: z.input<S>[]): MessageSample[] {
  return values.map((value, index) => {
    const body = { ...(value as Record<string, unknown>) };
    return { message, variant: typeof body.type === 'string' ? body.type : String(index), value: body };
  });
}

const slot = `E/${escrowId}/0`;
const shown = { report: bytesOf('report'), qc: bytesOf('votes') };
const decided = { certificate: bytesOf('certificate'), value: bytesOf('value') };
const truncated = { stdout: false, stderr: true, outputs: false };
const refusal = { code: 'CAPACITY', reason: 'all slots are taken', permanent: false };
const output = { path: 'out/a.txt', size: 1, cid: rawCid(bytesOf('a')) };
const failure = { class: 'worker' as const, code: 'SANDBOX_FAILED', message: 'the engine died' };

const policy = {
  name: 'sum',
  type: 'python',
  payment: 1_000_000n,
  maxTotal: 2_000_000n,
  priority: 5,
  verification: 'check' as const,
  resultSchema: null,
  retries: 2,
  deadline: T0 + 3_600_000,
  avoidSelf: true,
  avoidPeers: [],
  requirePeers: [bob.peer],
  labels: { project: 'x' },
  automaticPayment: true,
};

const attempt = {
  attempt: 1,
  worker: bob.peer,
  price: 1_000_000n,
  offer: bytesOf('offer'),
  award: bytesOf('award'),
  acceptance: bytesOf('acceptance'),
  awardedAt: T0,
  startedAt: T0 + 1,
  endedAt: null,
  bids: [
    { worker: bob.peer, ask: 1_000_000n, etaMs: 1000, score: '0.0123', refusal: null },
    { worker: alice.peer, ask: null, etaMs: null, score: null, refusal },
  ],
  failure: null,
  money: 'locked' as const,
  escrowId,
  lock: decided,
  evidence: null,
  close: null,
  pay: 0n,
  fee: 0n,
};

const streamSamples: readonly MessageSample[] = [
  ...samples(offerAnswerMessage, { type: 'bid', bid: bytesOf('bid') }, { type: 'refusal', ...ref, refusal }),
  ...samples(
    requesterMessage,
    {
      type: 'award',
      award: bytesOf('award'),
      offer: bytesOf('offer'),
      order: bytesOf('order'),
      salt: hashOf('salt'),
      spec: bytesOf('spec'),
    },
    { type: 'attach', ...ref, stdoutFrom: 10, stderrFrom: 0, filesDone: 1, fileFrom: 5 },
    { type: 'input', cid: output.cid, offset: 0, bytes: bytesOf('input') },
    { type: 'taken', bytes: 2 ** 20 },
    { type: 'locked', lock: decided },
    { type: 'cancel', reason: 'by the user' },
    { type: 'settled', accept: bytesOf('accept'), close: decided },
    { type: 'rejected', code: 'RESULT_HASH', reason: 'stdout differs' },
    { type: 'heartbeat' },
  ),
  ...samples(
    workerMessage,
    { type: 'accepted', acceptance: bytesOf('acceptance') },
    { type: 'refused', refusal },
    { type: 'unknown' },
    { type: 'phase', phase: 'pulling', progress: 40 },
    { type: 'log', stream: 'stdout', offset: 3, bytes: bytesOf('line\n') },
    { type: 'taken', bytes: 2 ** 20 },
    { type: 'need', cid: output.cid, offset: 3 },
    { type: 'file', path: 'out/a.txt', size: 1, offset: 0, bytes: bytesOf('a') },
    {
      type: 'result',
      attestation: bytesOf('attestation'),
      stdout: bytesOf('out'),
      stderr: bytesOf(''),
      truncated,
      oomKilled: false,
      mutual: null,
    },
    { type: 'failed', ...failure, evidence: bytesOf('cancel') },
    { type: 'heartbeat' },
  ),
  ...samples(
    ledgerRequestMessage,
    { type: 'submit', values: [bytesOf('order')] },
    { type: 'join' },
    { type: 'funds', account: alice.peer },
    { type: 'trail', account: alice.peer, from: 0 },
    { type: 'escrow', escrowId },
    { type: 'slot', slot },
    { type: 'propose', epoch: 0, values: [bytesOf('order')] },
    { type: 'commit', items: [{ qc: bytesOf('votes'), value: bytesOf('order') }] },
    { type: 'certify', decided: [decided] },
    { type: 'recover', epoch: 0, slot, ballot: 1, joined: [bytesOf('report')] },
    { type: 'choose', slot, ballot: 1, reports: [shown], values: [bytesOf('order')] },
    { type: 'elect', proposal: bytesOf('proposal'), reports: [shown], values: [bytesOf('order')] },
    { type: 'log', from: 0 },
    { type: 'decisions', slots: [slot] },
    { type: 'committees', from: 1 },
    { type: 'handover', epoch: 0, after: null },
    { type: 'cosign', account: alice.peer, balance: 5n, member: true, at: T0 },
  ),
  ...samples(
    ledgerAnswerMessage,
    {
      type: 'outcomes',
      outcomes: [
        { ok: true, decided },
        { ok: false, code: 'FUNDS_INSUFFICIENT', message: 'too little' },
      ],
    },
    { type: 'funds', funds: bytesOf('funds') },
    { type: 'trail', entries: [decided], more: false },
    { type: 'decided', decided: [decided] },
    {
      type: 'round',
      outcomes: [
        { type: 'signed', signed: bytesOf('vote') },
        { type: 'decided', decided },
        { type: 'taken', parked: false },
        { type: 'refused', slot, code: 'SLOT_BALLOT', message: 'later', ballot: 1, waitMs: null },
      ],
    },
    { type: 'report', shown, values: [bytesOf('order')] },
    { type: 'proposal', proposal: bytesOf('proposal'), value: bytesOf('order') },
    { type: 'log', slots: [slot], more: false },
    {
      type: 'handover',
      handover: bytesOf('handover'),
      locks: [{ qc: bytesOf('votes'), value: bytesOf('order') }],
    },
    { type: 'statements', values: [bytesOf('grant')] },
  ),
  ...samples(statusRequestMessage, ref),
  ...samples(statusAnswerMessage, { state: 'attested' }),
];

const recordSamples: readonly MessageSample[] = [
  ...samples(
    taskSpecMessage,
    {
      program: { code: 'print(1)' },
      image: 'python:3.9-slim',
      env: { B: '2', AA: '1' },
      workingDir: null,
      inputs: [
        { path: 'in/a', bytes: bytesOf('a') },
        { path: 'in/b', cid: output.cid, size: 2 ** 30 },
      ],
      outputs: ['out/a.txt'],
      milliCpus: 500,
      memoryBytes: 2 ** 28,
      diskBytes: 2 ** 26,
      outputBytes: 2 ** 20,
      timeoutMs: 60_000,
      runtime: null,
      reuse: false,
      allowHosts: [],
      gpus: null,
    },
    {
      program: { argv: ['/bin/true'] },
      image: 'busybox',
      env: {},
      workingDir: '/task',
      inputs: [],
      outputs: [],
      milliCpus: 1000,
      memoryBytes: 2 ** 30,
      diskBytes: 2 ** 30,
      outputBytes: 2 ** 30,
      timeoutMs: 1,
      runtime: 'runsc',
      reuse: true,
      allowHosts: ['*.example.org', 'example.net:8443'],
      gpus: { count: 1, vendor: 'nvidia', memoryBytes: 2 ** 33 },
    },
  ),
  ...samples(receiptMessage, {
    format: 'duxnode-receipt/1',
    genesis: bytesOf('genesis'),
    order: bytesOf('order'),
    acceptance: bytesOf('acceptance'),
    attestation: bytesOf('attestation'),
    accept: null,
    lock: decided,
    close: null,
  }),
  ...samples(taskRecordMessage, {
    taskId: ref.taskId,
    state: 'running',
    phase: 'executing',
    waiting: null,
    policy,
    submittedAt: T0,
    updatedAt: T0 + 2,
    endedAt: null,
    phases: { queued: T0, offering: T0 + 1 },
    attempts: [attempt],
    failedWorkers: [alice.peer],
    inputs: [output.cid],
    failure,
    result: {
      attempt: 1,
      worker: bob.peer,
      attestation: bytesOf('attestation'),
      truncated,
      oomKilled: false,
      outputs: [output],
      checks: ['signature'],
      expired: false,
    },
    accept: null,
    hasReceipt: false,
  }),
  ...samples(taskOrderMessage, { order: bytesOf('order'), salt: hashOf('salt'), spec: bytesOf('spec') }),
  ...samples(idempotencyMessage, { taskId: ref.taskId, request: hashOf('request') }),
  ...samples(leaseRecordMessage, {
    ...ref,
    requester: alice.peer,
    price: 1_000_000n,
    state: 'attested',
    order: bytesOf('order'),
    award: bytesOf('award'),
    offer: bytesOf('offer'),
    acceptance: bytesOf('acceptance'),
    escrowId,
    lock: decided,
    attestation: bytesOf('attestation'),
    outputs: [output],
    truncated,
    oomKilled: false,
    evidence: null,
    accept: null,
    close: null,
    pay: 0n,
    acceptedAt: T0,
    updatedAt: T0,
  }),
  ...samples(leaseChainMessage, { nextSeq: 4, previous: hashOf('acceptance') }),
  ...samples(shareRecordMessage, {
    peer: bob.peer,
    lent: { tasks: 3, cpuMs: 1_500, wallMs: 2_000, amount: 2n ** 60n },
    used: { tasks: 0, cpuMs: 0, wallMs: 0, amount: 0n },
    since: T0,
    lastAt: T0 + 1,
  }),
  ...samples(experienceRecordMessage, {
    peer: bob.peer,
    successMicros: 1_999_500,
    failureMicros: 0,
    biasMicros: -250_000,
    estimateMicros: 1_999_500,
    successes: 2,
    failures: 0,
    lastAt: T0,
  }),
];

export const messageSamples: readonly MessageSample[] = [...streamSamples, ...recordSamples];
