import { CodedError } from '../util/index.ts';
import {
  type Decided,
  fundsKind,
  grantKind,
  type LedgerAnswer,
  type LedgerRequest,
  MAX_DECIDED,
  MAX_TRAIL_PAGE,
  type Outcome,
  seal,
} from '../wire/index.ts';
import { EMPTY_ACCOUNT, OPEN_INVITE } from './accounts.ts';
import type { Committees } from './committees.ts';
import { isMember, MEMBERS, purseOf, ticketOf } from './invites.ts';
import type { Notary, ProposalOutcome } from './notary.ts';
import { trailKey } from './notary-store.ts';
import { StandingDesk } from './standing.ts';
import { escrowSlot, useSlot } from './statement.ts';

/** Of one page of a trail: large orders would otherwise make it 4 MiB. */
const MAX_PAGE_BYTES = 1024 * 1024;

export type DeskErrorType =
  | { code: 'LEDGER_SINGLE' }
  | { code: 'MEMBERSHIP_INVITED' }
  | { code: 'MEMBERSHIP_ELSEWHERE'; admin: string }
  | { code: 'TRAIL_COMPACTED'; account: string; from: number };

function alone(): CodedError<DeskErrorType> {
  return new CodedError<DeskErrorType>(
    { code: 'LEDGER_SINGLE' },
    'this network has one notary: submit statements to it',
  );
}

/** Answers requests to a notary, from the network or from its own node alike. */
export type LedgerDesk = (request: LedgerRequest, from: string) => Promise<LedgerAnswer>;

/** @throws CodedError `LEDGER_SINGLE`, `MEMBERSHIP_INVITED`, `MEMBERSHIP_ELSEWHERE`, and what stops the notary. */
export function createLedgerDesk(notary: Notary): LedgerDesk {
  const standings = new StandingDesk(notary);
  return async (request, from) => {
    switch (request.type) {
      case 'committees':
        return showChanges(notary.committees, request.from);
      case 'submit':
        return { type: 'outcomes', outcomes: (await notary.submit(request.values)).map(toOutcome) };
      case 'join':
        return join(notary, from);
      case 'funds':
        notary.requireReady();
        return { type: 'funds', funds: await signFunds(notary, request.account) };
      case 'trail':
        notary.requireReady();
        return { type: 'trail', ...(await readTrail(notary, request, from)) };
      case 'standing':
        notary.requireReady();
        return standings.answer(request, from);
      case 'members':
        notary.requireReady();
        return {
          type: 'trail',
          ...(await readTrail(notary, { account: MEMBERS, from: request.from }, from)),
        };
      case 'invite':
        notary.requireReady();
        return { type: 'decided', decided: await readUses(notary, request.invite, request.account) };
      case 'escrow':
        notary.requireReady();
        return { type: 'decided', decided: await readEscrow(notary, request.escrowId) };
      case 'witness':
        notary.witness?.hear(request.words);
        return { type: 'round', outcomes: [] };
      case 'slot':
        notary.requireReady();
        return { type: 'decided', decided: await readSlots(notary, [request.slot]) };
      default:
        if (!notary.round) throw alone();
        return notary.round(request, from);
    }
  };
}

/** Changes of the committee from an epoch on: what anyone is asked. */
export function showChanges(committees: Committees, from: number): LedgerAnswer {
  return { type: 'decided', decided: [...committees.changes(from, from + MAX_DECIDED - 1)] };
}

function toOutcome(outcome: ProposalOutcome): Outcome {
  if (outcome.ok) return outcome;
  const { error } = outcome;
  // Errors of other kinds may tell about this machine; their text stays here.
  return error instanceof CodedError
    ? { ok: false, code: error.code.slice(0, 60), message: error.message.slice(0, 500) }
    : { ok: false, code: 'INTERNAL', message: 'the notary failed' };
}

export async function readSlots(
  notary: Pick<Notary, 'store' | 'certify'>,
  slots: readonly string[],
): Promise<Decided[]> {
  const stored = await notary.store.slots.getMany(slots);
  return stored.flatMap((slot, i) => (slot ? [notary.certify(slots[i]!, slot)] : []));
}

async function readEscrow(notary: Notary, escrowId: string): Promise<Decided[]> {
  const stored = await notary.store.escrows.get(escrowId);
  if (!stored) return [];
  return readSlots(notary, [stored.order, ...stored.digests.map((_, step) => escrowSlot(escrowId, step))]);
}

async function readUses(notary: Notary, invite: string, account: string): Promise<Decided[]> {
  const found = await notary.store.accounts.getMany([purseOf(invite), ticketOf(invite, account)]);
  const uses = found.flatMap(record => (record && record.seq > 0 ? [record.seq - 1] : []));
  return readSlots(
    notary,
    [...new Set(uses)].map(use => useSlot(invite, use)),
  );
}

async function readTrail(
  notary: Notary,
  { account, from }: { account: string; from: number },
  asking: string,
) {
  const total = (await notary.store.accounts.get(account))?.trail ?? 0;
  // Who asks for an entry has those before it.
  if (asking === account && total > 0) notary.checkpoints.noteRead(account, Math.min(from, total));
  const count = Math.max(0, Math.min(MAX_TRAIL_PAGE, total - from));
  const names = await notary.store.trails.getMany(
    Array.from({ length: count }, (_, i) => trailKey(account, from + i)),
  );
  const gap = names.indexOf(undefined);
  if (gap === 0) throw compacted(account, from);
  const slots = names.slice(0, gap < 0 ? count : gap) as string[];
  const entries = await readSlots(notary, slots);
  let bytes = 0;
  const fitting = entries.filter(({ value }, i) => {
    bytes += value.length;
    return i === 0 || bytes <= MAX_PAGE_BYTES;
  });
  return { entries: fitting, more: from + fitting.length < total };
}

function compacted(account: string, from: number): CodedError<DeskErrorType> {
  return new CodedError<DeskErrorType>(
    { code: 'TRAIL_COMPACTED', account, from },
    `entry ${from} of the trail was removed after its owner had read it: ask for the account's standing, and go on from there`,
  );
}

/** What an account holds here, and whether it is a member. */
export async function readFunds(
  notary: Pick<Notary, 'store' | 'committee'>,
  account: string,
): Promise<{ balance: bigint; member: boolean }> {
  const { info } = notary.committee;
  const { membership, openGrant } = info.genesis;
  const stored = (await notary.store.accounts.get(account)) ?? { ...EMPTY_ACCOUNT, trail: 0 };
  const isOpenMember = membership === 'open' && (openGrant === 0n || stored.trail > 0);
  return { balance: stored.balance, member: isOpenMember || isMember(account, stored, info) };
}

async function signFunds(notary: Notary, account: string): Promise<Uint8Array> {
  const { net } = notary.committee.info;
  const body = { net, account, ...(await readFunds(notary, account)), at: notary.now() };
  return seal(fundsKind, body, notary.signer).bytes;
}

/** Membership of an open network: the admin's grant, once for each account. Empty where the network grants nothing. */
async function join(notary: Notary, account: string): Promise<LedgerAnswer> {
  const { info } = notary.committee;
  const { admin, membership, openGrant } = info.genesis;
  if (membership !== 'open')
    throw new CodedError<DeskErrorType>(
      { code: 'MEMBERSHIP_INVITED' },
      'this network is by invitation: ask its admin for an invite',
    );
  if (notary.signer.peer !== admin)
    throw new CodedError<DeskErrorType>(
      { code: 'MEMBERSHIP_ELSEWHERE', admin },
      'another notary admits members: the one that is the admin',
    );
  if (openGrant === 0n || account === admin) return { type: 'decided', decided: [] };
  const body = { net: info.net, invite: OPEN_INVITE, use: account, account, amount: openGrant };
  const grant = seal(grantKind, body, notary.signer).bytes;
  // Of several notaries none decides alone: the member has its grant decided as it does its orders.
  if (notary.round) return { type: 'statements', values: [grant] };
  const [outcome] = await notary.submit([grant]);
  if (outcome?.ok) return { type: 'decided', decided: [outcome.decided] };
  throw outcome?.error;
}
