import { type Abortable, CodedError, codeOf, hasCode, messageOf } from '../util/index.ts';
import {
  type Certificate,
  certificateKind,
  type Decided,
  type Funds,
  fundsKind,
  type LedgerAnswer,
  type LedgerRequest,
  mergeSignatures,
  type Opened,
  type Outcome,
  open,
  toHex,
} from '../wire/index.ts';
import { checkDecided, peekSlot } from './certificates.ts';
import { recoverSlot } from './recovery.ts';
import { commitAll, decidedOutcome, outcomeOf, proposeAll, type Round, tellAll } from './rounds.ts';
import { askAll, type SeveralComponents } from './several.ts';

export type CommitteeClientErrorType = { code: 'NOTARIES_FEW'; answered: number; needed: number };

function few(
  answered: number,
  needed: number,
  errors: readonly unknown[],
): CodedError<CommitteeClientErrorType> {
  const why = errors.map(messageOf).slice(0, 2).join('; ');
  return new CodedError<CommitteeClientErrorType>(
    { code: 'NOTARIES_FEW', answered, needed },
    `${answered} of the ${needed} notaries that are needed answer${why && ` (${why})`}: wait until more are up`,
  );
}

/** Has several notaries decide, and reads what they decided. Errors: `NOTARIES_FEW`, a refusal that a notary answered. */
export class CommitteeClient {
  readonly #parts: SeveralComponents;

  constructor(parts: SeveralComponents) {
    this.#parts = parts;
  }

  /** Answers as one notary would. Trails are read from each notary by itself. */
  async request(request: LedgerRequest, options: Abortable): Promise<LedgerAnswer> {
    switch (request.type) {
      case 'submit':
        return { type: 'outcomes', outcomes: await this.submit(request.values, options) };
      case 'join':
        return { type: 'decided', decided: await this.#join(options) };
      case 'funds':
        return { type: 'funds', funds: await this.#funds(request.account, options) };
      case 'standing':
        return this.#standing(request, options);
      default:
        return { type: 'decided', decided: await this.#read(request, options) };
    }
  }

  /** Votes, then commits; what is contested is recovered. Outcomes in the order of `values`. */
  async submit(values: readonly Uint8Array[], options: Abortable): Promise<Outcome[]> {
    const { rounds, answered } = await proposeAll(this.#parts, values, options);
    await commitAll(this.#parts, rounds, options);
    const { logger } = this.#parts;
    // The certificates are final in our hands: nobody waits for the notaries to take them in.
    tellAll(
      this.#parts,
      rounds.flatMap(({ decided }) => decided ?? []),
    ).catch(error => {
      logger.debug({ code: codeOf(error) }, 'notaries were not told of decisions');
    });
    return Promise.all(rounds.map(round => this.#finish(round, answered, options)));
  }

  async #finish(round: Round, answered: number, options: Abortable): Promise<Outcome> {
    const outcome = outcomeOf(round, answered, this.#parts);
    // Others may know of votes for the other statement by some of those who voted for ours.
    if (round.votes > 0 && !outcome?.ok) this.#parts.witness?.tell(round.words().slice(0, 4));
    if (outcome) return outcome;
    const decided = await recoverSlot(this.#parts, round.slot!, options);
    if (!decided)
      return {
        ok: false,
        code: 'NOTARIES_BEHIND',
        message: 'a contested slot is not decided yet: asked again',
      };
    const recovered = decidedOutcome(round.value, decided);
    // A step that was taken by other evidence may still be followed by ours.
    if (!recovered.ok && round.slot!.startsWith('E/'))
      return { ok: false, code: 'NOTARIES_BEHIND', message: recovered.message };
    return recovered;
  }

  /** The admin, where it is a notary, signs the grant; all decide it. */
  async #join(options: Abortable): Promise<Decided[]> {
    let found: LedgerAnswer | undefined;
    const { committee } = this.#parts;
    const isGrant = ({ type }: LedgerAnswer) => type === 'statements' || type === 'decided';
    const { answered, errors } = await askAll(
      this.#parts,
      committee.keys,
      { type: 'join' },
      answer => {
        if (isGrant(answer)) found = answer;
        return found !== undefined;
      },
      options,
    );
    if (found?.type === 'decided') return found.decided;
    if (found?.type !== 'statements') {
      // Those who are not the admin send elsewhere: the one who is may only be away.
      const refusal = errors.find(error => memberCode(error) === 'MEMBERSHIP_INVITED');
      throw refusal ?? few(answered, 1, errors);
    }
    const [outcome] = await this.submit(found.values, options);
    if (outcome?.ok) return [outcome.decided];
    throw few(0, committee.quorum, [new Error(outcome?.message ?? 'no grant')]);
  }

  /** A statement that a quorum signs: as much as so many of them know of, at this node's time. */
  async #funds(account: string, options: Abortable): Promise<Uint8Array> {
    const { committee, clock } = this.#parts;
    const { quorum, keys } = committee;
    const seen: Funds[] = [];
    const first = await askAll(
      this.#parts,
      keys,
      { type: 'funds', account },
      answer => {
        if (answer.type === 'funds') seen.push(open(fundsKind, answer.funds).body);
        return false;
      },
      options,
    );
    if (seen.length < quorum) throw few(seen.length, quorum, first.errors);
    const balance = seen.map(funds => funds.balance).sort((a, b) => (a < b ? 1 : -1))[quorum - 1]!;
    const member = seen.filter(funds => funds.member).length >= quorum;
    const request = { type: 'cosign' as const, account, balance, member, at: clock.now() };
    const signed = new Map<string, Opened<Funds>>();
    const second = await askAll(
      this.#parts,
      keys,
      request,
      (answer, peer) => {
        if (answer.type === 'funds') takeFunds(signed, answer.funds, peer, request);
        return signed.size >= quorum;
      },
      options,
    );
    if (signed.size < quorum) throw few(signed.size, quorum, second.errors);
    return mergeSignatures(fundsKind, [...signed.values()].slice(0, quorum)).bytes;
  }

  /** What a quorum of notaries finds alike. */
  async #standing(request: LedgerRequest, options: Abortable): Promise<LedgerAnswer> {
    const { committee } = this.#parts;
    const found = new Map<string, StandingShare[]>();
    const { errors } = await askAll(
      this.#parts,
      committee.keys,
      request,
      (answer, peer) => {
        const share = answer.type === 'standing' ? readShare(answer, peer) : undefined;
        if (share) found.set(share.name, [...(found.get(share.name) ?? []), share]);
        return false;
      },
      options,
    );
    const [shares = []] = [...found.values()].sort((a, b) => b.length - a.length);
    if (shares.length < committee.quorum) throw few(shares.length, committee.quorum, errors);
    const signed = shares.slice(0, committee.quorum).map(share => share.certificate);
    return {
      type: 'standing',
      decided: {
        certificate: mergeSignatures(certificateKind, signed).bytes,
        value: shares[0]!.value,
      },
      cursors: shares.map(share => share.cursor),
    };
  }

  /** Decisions about an escrow or of a slot: all that any notary shows, each once, in the order of their steps. */
  async #read(request: LedgerRequest, options: Abortable): Promise<Decided[]> {
    const { committee } = this.#parts;
    const found = new Map<string, Decided>();
    const { answered, errors } = await askAll(
      this.#parts,
      committee.keys,
      request,
      answer => {
        for (const decided of answer.type === 'decided' ? answer.decided : []) {
          const slot = peekSlot(decided);
          if (slot !== undefined && !found.has(slot) && isSound(decided, this.#parts))
            found.set(slot, decided);
        }
        return false;
      },
      options,
    );
    if (answered < committee.quorum) throw few(answered, committee.quorum, errors);
    return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, decided]) => decided);
  }
}

/** The code of a refusal, here or from afar. */
function memberCode(error: unknown): string {
  return hasCode(error, 'REMOTE') ? String(error.type.remoteCode) : codeOf(error);
}

interface StandingShare {
  readonly name: string;
  readonly certificate: Opened<Certificate>;
  readonly value: Uint8Array;
  readonly cursor: { readonly peer: string; readonly at: number };
}

function readShare(
  { decided, cursors }: Extract<LedgerAnswer, { type: 'standing' }>,
  peer: string,
): StandingShare | undefined {
  const certificate = open(certificateKind, decided.certificate);
  const [cursor] = cursors;
  const isOwn = certificate.signers.length === 1 && certificate.signers[0] === peer && cursor?.peer === peer;
  return isOwn ? { name: toHex(certificate.digest), certificate, value: decided.value, cursor } : undefined;
}

function takeFunds(
  signed: Map<string, Opened<Funds>>,
  bytes: Uint8Array,
  peer: string,
  asked: Pick<Funds, 'account' | 'balance' | 'member' | 'at'>,
): void {
  const funds = open(fundsKind, bytes);
  const { account, balance, member, at } = funds.body;
  const isSame =
    account === asked.account && balance === asked.balance && member === asked.member && at === asked.at;
  if (isSame && funds.signers.length === 1 && funds.signers[0] === peer) signed.set(peer, funds);
}

function isSound(decided: Decided, { committee }: SeveralComponents): boolean {
  try {
    checkDecided(decided, committee);
    return true;
  } catch (error) {
    if (error instanceof CodedError) return false;
    throw error;
  }
}
