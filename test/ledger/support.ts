import { createHash } from 'node:crypto';
import { type EscrowRules, rulesOf } from '../../src/ledger/index.ts';
import type { Clock } from '../../src/util/index.ts';
import {
  type Accept,
  type Attestation,
  acceptKind,
  attestationKind,
  cancelKind,
  disputeKind,
  type Genesis,
  type GenesisInfo,
  genesisInfo,
  genesisKind,
  type LedgerOp,
  type LedgerOrder,
  type Lock,
  ledgerOrderKind,
  mutualKind,
  type Opened,
  rawCid,
  type Signer,
  seal,
  sha256,
  signerFromSeed,
  timeoutKind,
  verdictKind,
  verifiedKind,
} from '../../src/wire/index.ts';

/** The same person in every run. */
export function person(name: string): Signer {
  return signerFromSeed(createHash('sha256').update(`test person ${name}`).digest());
}

export const admin = person('admin');
export const alice = person('alice');
export const bob = person('bob');
export const carol = person('carol');

export const T0 = 1_700_000_000_000;
export const FLOP = 100_000_000n;

export function makeGenesis(overrides: Partial<Genesis> = {}): GenesisInfo {
  const body = {
    name: 'test-net',
    admin: admin.peer,
    notaries: [admin.peer],
    allocations: [
      { account: admin.peer, amount: 1_000n * FLOP },
      { account: alice.peer, amount: 100n * FLOP },
    ],
    treasury: admin.peer,
    feeBasisPoints: 200,
    minAmount: 0n,
    currency: 'FLOP' as const,
    membership: 'open' as const,
    openGrant: 10n * FLOP,
    createdAt: T0,
    nonce: new Uint8Array(16),
    ...overrides,
  };
  return genesisInfo(seal(genesisKind, body, admin));
}

export const genesis = makeGenesis();
export const rules: EscrowRules = rulesOf(genesis);

export function taskRefOf(name: string) {
  return { taskId: rawCid(Buffer.from(name)), replica: 0, attempt: 1 };
}

/** A lock to bob that can be claimed until T0 + 60 s, disputed until + 120 s, judged until + 180 s. */
export function makeLock(overrides: Partial<Lock> = {}): Lock {
  return {
    op: 'lock',
    amount: FLOP,
    worker: bob.peer,
    ...taskRefOf('a task'),
    termsHash: sha256(Buffer.from('terms')),
    claimBy: T0 + 60_000,
    disputeBy: T0 + 120_000,
    verdictBy: T0 + 180_000,
    verifiers: [],
    verifierQuorum: 0,
    arbiters: [],
    arbiterQuorum: 0,
    defaultPermille: 500,
    ...overrides,
  };
}

export function makeOrder(
  signer: Signer,
  seq: number,
  ops: LedgerOp[],
  overrides: Partial<LedgerOrder> = {},
): Opened<LedgerOrder> {
  return seal(ledgerOrderKind, { net: genesis.net, account: signer.peer, seq, ops, ...overrides }, signer);
}

type Target = { escrowId: string; lock: Lock; net?: Uint8Array };

export function attest({ escrowId, lock }: Target, signer: Signer, overrides: Partial<Attestation> = {}) {
  const cid = rawCid(Buffer.from('output'));
  const body: Attestation = {
    net: genesis.net,
    taskId: lock.taskId,
    replica: lock.replica,
    attempt: lock.attempt,
    escrowId,
    specHash: sha256(Buffer.from('spec')),
    worker: lock.worker,
    runtime: 'memory',
    imageDigest: '',
    outcome: 'exited',
    exitCode: 0,
    stdoutCid: cid,
    stderrCid: cid,
    outputCid: cid,
    usage: {
      cpuMs: 1,
      peakMemoryBytes: 1,
      wallMs: 1,
      inputBytes: 0,
      outputBytes: 0,
      stdoutBytes: 0,
      stderrBytes: 0,
    },
    startedAt: T0,
    endedAt: T0 + 1,
    ...overrides,
  };
  return seal(attestationKind, body, signer);
}

export function accept({ escrowId, lock }: Target, signer: Signer, overrides: Partial<Accept> = {}) {
  const { taskId, replica, attempt } = lock;
  const attestation = sha256(Buffer.from('attestation'));
  const verification = 'check' as const;
  const body = { net: genesis.net, escrowId, taskId, replica, attempt, attestation, verification };
  return seal(acceptKind, { ...body, ...overrides }, signer);
}

const named = ({ escrowId, net = genesis.net }: Target) => ({ net, escrowId });

export const cancel = (target: Target, signer: Signer) => seal(cancelKind, named(target), signer);
export const mutual = (target: Target, pay: bigint, ...signers: Signer[]) =>
  seal(mutualKind, { ...named(target), pay }, ...signers);
export const dispute = (target: Target, signer: Signer) =>
  seal(disputeKind, { ...named(target), reason: 'wrong' }, signer);
export const verdict = (target: Target, pay: bigint, ...signers: Signer[]) =>
  seal(verdictKind, { ...named(target), pay }, ...signers);
export const timeout = (target: Target, step: 'refund' | 'claim' | 'arbitration') =>
  seal(timeoutKind, { ...named(target), step });
export const verified = (
  target: Target,
  attestation: Opened<Attestation>,
  signers: Signer[],
  digest = attestation.digest,
) => seal(verifiedKind, { ...named(target), attestation: digest, worker: attestation.bytes }, ...signers);

/** A clock that stands still until a test moves it. Timers run when the time is moved past them. */
export function manualClock(start = T0): Clock & { advance(ms: number): void; set(now: number): void } {
  let wall = start;
  let mono = 0;
  let timers: { at: number; fn: () => void }[] = [];
  return {
    now: () => wall,
    monotonic: () => mono,
    after(ms, fn) {
      const timer = { at: mono + ms, fn };
      timers.push(timer);
      return () => {
        timers = timers.filter(other => other !== timer);
      };
    },
    advance(ms) {
      wall += ms;
      mono += ms;
      const due = timers.filter(({ at }) => at <= mono);
      timers = timers.filter(({ at }) => at > mono);
      for (const { fn } of due) fn();
    },
    set(now) {
      wall = now;
    },
  };
}

/** The code that `fn` throws, or null. */
export function thrownCode(fn: () => unknown): string | null {
  try {
    fn();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return null;
}
