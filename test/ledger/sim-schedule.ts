import type { Intent } from '../../src/ledger/ballots.ts';
import { holdsMoney } from '../../src/ledger/escrow-lock.ts';
import { escrowOf, type Signed } from '../../src/ledger/evidence.ts';
import { checkLeft } from '../../src/ledger/handover.ts';
import type { Committee } from '../../src/ledger/index.ts';
import { purseOf, ticketOf } from '../../src/ledger/invites.ts';
import { fallbackOf } from '../../src/ledger/judge.ts';
import type { SignedReport } from '../../src/ledger/reports.ts';
import { coordinatorOf } from '../../src/ledger/slot.ts';
import { kindOf, type Stated, slotOf } from '../../src/ledger/statement.ts';
import { CodedError } from '../../src/util/index.ts';
import {
  type BallotProposal,
  type Certificate,
  certificateKind,
  proposalKind,
  reportKind,
  toHex,
  type Vote,
  voteKind,
} from '../../src/wire/index.ts';
import { randomOf } from '../fixtures/random.ts';
import { SimNotary } from './sim-notary.ts';
import type { Post } from './sim-post.ts';
import { isSoundEnd, isTimeout, LAST, newcomers, T0, type World } from './sim-world.ts';

export interface ScheduleOptions {
  readonly byzantine: number;
  readonly steps: number;
  /** Honest notaries forget everything now and then. */
  readonly losesDisks?: boolean;
  /** Each newcomer takes over from any one. */
  readonly fromOne?: boolean;
  /** In place of `SimNotary`. */
  readonly Notary?: typeof SimNotary;
}

const escrowIdOf = ({ statement }: Stated): string | undefined =>
  statement.type === 'evidence' ? escrowOf(statement.evidence) : undefined;

type Parts<B> = Map<string, Signed<B>>;
type Ballot = {
  readonly epoch: number;
  readonly slot: string;
  readonly ballot: number;
  readonly digest: string;
};
type Proposal = {
  readonly proposal: Signed<BallotProposal>;
  readonly shown: SignedReport[];
  readonly values: Stated[];
};

const keyOf = ({ epoch, slot, ballot, digest }: Ballot): string => `${slot}|${ballot}|${digest}|${epoch}`;
function parseKey(key: string): Ballot {
  const [slot = '', ballot = '', digest = '', epoch = ''] = key.split('|');
  return { epoch: Number(epoch), slot, ballot: Number(ballot), digest };
}

/** What is decided just before a change, and known to as few as it takes. */
const SECRETS = 3;

/** A time of quiet that every recovery is due after. */
const LONG_MS = 3_600_000;
/** Ballots that honest notaries need at most to decide a slot once all messages arrive. */
const MAX_ROUNDS = 14;

/**
 * One schedule: the adversary holds every message and every clock, signs for `byzantine` notaries whatever helps it, and owns two
 * equivocating accounts. Then the network heals, and honest parties alone bring everything to its end.
 */
export class Schedule {
  readonly violations: string[] = [];
  readonly stuck: string[] = [];
  recoveries = 0;
  /** Of the committee. */
  get changes(): number {
    return this.#epoch;
  }
  readonly #world: World;
  readonly #post: Post;
  readonly #options: ScheduleOptions;
  readonly #random: () => number;
  readonly #notaries: SimNotary[];
  /** Of all epochs. */
  readonly #honest: SimNotary[];
  /** The last epoch that was decided on. */
  #epoch = 0;
  readonly #liars: number[];
  readonly #votes = new Map<string, Parts<Vote>>();
  readonly #commits = new Map<string, Parts<Certificate>>();
  readonly #reports = new Map<string, SignedReport[]>();
  readonly #proposals: Proposal[] = [];
  /** What could be a certificate, by slot. */
  readonly #decided = new Map<string, Set<string>>();
  /** Certificates that nobody is shown. */
  readonly #hidden = new Set<string>();
  readonly #values: Stated[];
  readonly #ballots = new Map<string, Ballot>();
  #now = 1_000;
  #isHealed = false;

  constructor(world: World, post: Post, seed: number, options: ScheduleOptions) {
    this.#world = world;
    this.#post = post;
    this.#options = options;
    this.#random = randomOf(seed);
    const skews = world.keys.map(() => this.#below(4_000) - 2_000);
    const { Notary = SimNotary } = options;
    this.#notaries = world.keys.map((_, i) => new Notary(i, world, () => this.#now + skews[i]!));
    const order = world.keys.map((_, i) => i).sort(() => this.#random() - 0.5);
    this.#liars = order.slice(0, options.byzantine);
    this.#honest = this.#notaries.filter(({ index }) => !this.#liars.includes(index));
    // Of few escrows, so that much happens to each.
    const escrowIds = [...new Set(world.values.flatMap(value => escrowIdOf(value) ?? []))];
    const dropped = escrowIds.filter(() => this.#random() < 0.5);
    const isLeftOut = (value: Stated) => dropped.includes(escrowIdOf(value) ?? '');
    this.#values = world.values.filter(
      value => isTimeout(value) || (!isLeftOut(value) && this.#random() < 0.6),
    );
  }

  run(): void {
    for (let step = 0; step < this.#options.steps; step++) {
      // Mostly both changes come to pass, with much under way.
      if (this.#random() < 3 / this.#options.steps) this.#change();
      this.#act();
    }
    this.#heal();
    for (const key of this.#hidden)
      if (this.#commits.has(key)) for (const notary of this.#members) this.#certify(notary, key);
    this.#check();
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#below(from.length)]!;
  }

  #ballotAt(key: string): Ballot {
    const ballot = this.#ballots.get(key) ?? parseKey(key);
    this.#ballots.set(key, ballot);
    return ballot;
  }

  #act(): void {
    const notary = this.#pick(this.#honest);
    if (this.#random() < 0.3 && this.#moveOn(notary)) return;
    const action = this.#random();
    if (action < 0.34) this.#proposeAny(notary);
    else if (action < 0.52) this.#commitAny(notary);
    else if (action < 0.66) this.#certifyAny(notary);
    else if (action < 0.77) this.#recoverAny(notary);
    else if (action < 0.86) this.#coordinateAny();
    else if (action < 0.95) this.#electAny(notary);
    else if (this.#options.losesDisks && this.#random() < 0.6) notary.loseDisk();
    else this.#now += this.#below(9_000);
  }

  #committee(epoch: number): Committee {
    return this.#world.committees[epoch]!;
  }

  #liarsOf(epoch: number): number[] {
    return this.#liars.filter(i => this.#committee(epoch).keys.includes(this.#peer(i)));
  }

  /** Honest notaries of an epoch. */
  #membersOf(epoch: number): SimNotary[] {
    return this.#honest.filter(({ peer }) => this.#committee(epoch).keys.includes(peer));
  }

  /** Who brings everything to its end once the network has healed: the notaries of the last epoch. */
  get #members(): SimNotary[] {
    return this.#isHealed ? this.#membersOf(this.#epoch) : this.#honest;
  }

  /** The next committee is decided on, where enough of this one have begun to do so. */
  #change(): void {
    const begun = this.#membersOf(this.#epoch).filter(({ epoch }) => epoch === this.#epoch);
    const able = begun.length + this.#liarsOf(this.#epoch).length;
    if (this.#epoch + 1 === this.#world.committees.length || able < this.#committee(this.#epoch).quorum)
      return;
    for (let i = 0; i < SECRETS && begun.length > 0; i++) this.#decideFor(this.#pick(begun));
    this.#epoch++;
  }

  /** Some notary hears of the last epoch, or takes over from those that have heard. */
  #moveOn(notary: SimNotary): boolean {
    const { epoch, isFrozen } = notary;
    if (epoch === this.#epoch) return false;
    if (!isFrozen) {
      notary.end(this.#committee(epoch + 1), this.#random() < 0.5);
      return true;
    }
    const { quorum } = this.#committee(this.#epoch - 1);
    this.#takeOver(notary, this.#epoch, this.#random() < 0.5 ? this.#below(quorum) : quorum);
    return true;
  }

  /** From `count` of those who have left the epoch before; a liar leaves nothing. */
  #takeOver(notary: SimNotary, epoch: number, count: number): void {
    const next = this.#committee(epoch);
    if (!next.keys.includes(notary.peer) || notary.epoch >= epoch) return;
    const isOver = (other: SimNotary) =>
      other.epoch >= epoch || (other.epoch === epoch - 1 && other.isFrozen);
    const done = this.#membersOf(epoch - 1).filter(other => isOver(other) && other.since < epoch);
    const honest = done.map(other => ({
      signer: other.peer,
      locks: [...other.locks()].map(({ qc, value }) => ({
        qc: this.#post.unpack(voteKind, qc),
        bytes: qc,
        value,
      })),
      known: [...other.decisions.values()],
    }));
    const lies = this.#liarsOf(epoch - 1).map(i => ({ signer: this.#peer(i), locks: [], known: [] }));
    const { fromOne = false } = this.#options;
    const some = [...honest, ...lies].sort(() => this.#random() - 0.5).slice(0, fromOne ? 1 : count);
    const previous = { ...next.previous!, quorum: 1 };
    this.#try(() => {
      for (const left of some) checkLeft(left, next);
      const known = some.flatMap(left => left.known);
      return notary.takeOver(some, known, fromOne ? { ...next, previous } : next);
    });
    if (notary.supply !== this.#world.info.supply) this.violations.push(`supply ${notary.supply}`);
  }

  /** What the rules refuse is no matter of the schedule; anything else is a fault. */
  #try(fn: () => Intent | undefined): Intent | undefined {
    try {
      return fn();
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      if (error.code === 'LEDGER_FORKED') this.violations.push(error.message);
      return undefined;
    }
  }

  /** Often to every honest notary, as a client does. */
  #proposeAny(notary: SimNotary): void {
    const value = this.#liveValue(notary);
    for (const one of this.#random() < 0.15 ? this.#honest : [notary]) this.#propose(one, value);
  }

  /** Has a statement decided with as few honest notaries as it takes, and keeps the certificate to itself until all is over. */
  #decideFor(notary: SimNotary): void {
    const value = this.#liveValue(notary);
    const { epoch } = notary;
    const few = this.#committee(epoch).quorum - this.#liarsOf(epoch).length;
    const some = this.#membersOf(epoch)
      .sort(() => this.#random() - 0.5)
      .slice(0, few);
    for (const one of some) this.#propose(one, value);
    const key = this.#hotKeys(this.#votes).find(hot => this.#ballotAt(hot).digest === value.digest);
    if (!key) return;
    this.#hidden.add(key);
    for (const one of some) this.#commit(one, this.#ballotAt(key));
  }

  #liveValue(notary: SimNotary): Stated {
    const value = this.#pick(this.#values);
    // What stands on a decision that this notary lacks is refused anyway: mostly something that could come to pass.
    return this.#isLive(value, notary) || this.#random() < 0.2 ? value : this.#pick(this.#values);
  }

  #propose(notary: SimNotary, value: Stated): void {
    this.#takeVote(
      notary,
      this.#try(() => notary.propose(value)),
    );
  }

  #takeVote(notary: SimNotary, intent: Intent | undefined): void {
    if (intent?.type !== 'vote') return;
    const ballot = ballotOf(intent.body);
    const parts = this.#votesFor(ballot);
    const signer = this.#world.keys[notary.index]!;
    if (!parts.has(signer.peer)) parts.set(signer.peer, this.#post.sign(voteKind, intent.body, signer));
  }

  #peer(index: number): string {
    return this.#world.keys[index]!.peer;
  }

  /** Liars vote for everything. */
  #votesFor(ballot: Ballot): Parts<Vote> {
    const key = keyOf(ballot);
    let parts = this.#votes.get(key);
    if (!parts) {
      parts = new Map(
        this.#liarsOf(ballot.epoch).map(i => [
          this.#peer(i),
          this.#post.sign(voteKind, this.#body(ballot), this.#world.keys[i]!),
        ]),
      );
      this.#votes.set(key, parts);
    }
    return parts;
  }

  #body({ epoch, slot, ballot, digest }: Ballot): Vote {
    return {
      net: this.#world.info.net,
      epoch,
      slot,
      ballot,
      value: new Uint8Array(Buffer.from(digest, 'hex')),
    };
  }

  /** Some quorum of the signatures that there are, or all that there are where `isShort`. */
  #gather<B>(parts: Parts<B>, epoch: number, isShort: boolean): Signed<B>[] | undefined {
    const { quorum } = this.#committee(epoch);
    const all = [...parts.values()].sort(() => this.#random() - 0.5);
    if (all.length < quorum) return isShort && all.length > 0 ? all : undefined;
    return all.slice(0, quorum);
  }

  #qc(ballot: Ballot, isShort = false): Signed<Vote> | undefined {
    const parts = this.#gather(this.#votesFor(ballot), ballot.epoch, isShort);
    return parts && this.#post.merge(voteKind, parts);
  }

  /** Keys of which some are worth more: what has a quorum, or is nearly there. */
  #hotKeys<B>(pool: ReadonlyMap<string, Parts<B>>): string[] {
    const quorums = this.#world.committees.map(({ quorum }) => quorum);
    return [...pool].flatMap(([key, parts]) =>
      parts.size >= quorums[this.#ballotAt(key).epoch]! ? [key] : [],
    );
  }

  #commitAny(notary: SimNotary): void {
    const isForged = this.#random() < 0.15 && this.#votes.size > 0;
    const keys = isForged ? [...this.#votes.keys()] : this.#hotKeys(this.#votes);
    if (keys.length > 0) this.#commit(notary, this.#ballotAt(this.#pick(keys)), isForged);
  }

  #commit(notary: SimNotary, ballot: Ballot, isShort = false): void {
    const qc = this.#qc(ballot, isShort);
    const value = this.#world.byDigest.get(ballot.digest);
    if (!qc || !value) return;
    const intent = this.#try(() => {
      const received = this.#post.receive(voteKind, qc);
      return notary.commit(received, value, this.#post.pack(qc));
    });
    if (intent?.type !== 'commit') return;
    const signer = this.#world.keys[notary.index]!;
    const parts = this.#commitsFor(ballot);
    if (!parts.has(signer.peer))
      parts.set(signer.peer, this.#post.sign(certificateKind, intent.body, signer));
    if (parts.size < this.#committee(ballot.epoch).quorum) return;
    const decided = this.#decided.get(ballot.slot) ?? new Set();
    this.#decided.set(ballot.slot, decided.add(ballot.digest));
  }

  #commitsFor(ballot: Ballot): Parts<Certificate> {
    const key = keyOf(ballot);
    let parts = this.#commits.get(key);
    if (!parts) {
      const sign = (i: number) => this.#post.sign(certificateKind, this.#body(ballot), this.#world.keys[i]!);
      parts = new Map(this.#liarsOf(ballot.epoch).map(i => [this.#peer(i), sign(i)]));
      this.#commits.set(key, parts);
    }
    return parts;
  }

  #certified(): string[] {
    return this.#hotKeys(this.#commits).filter(key => !this.#hidden.has(key));
  }

  #certifyAny(notary: SimNotary): void {
    const isForged = this.#random() < 0.1 && this.#commits.size > 0;
    const keys = isForged ? [...this.#commits.keys()] : this.#certified();
    if (keys.length > 0) this.#certify(notary, this.#pick(keys), isForged);
  }

  #certify(notary: SimNotary, key: string, isShort = false): void {
    const { digest, epoch } = this.#ballotAt(key);
    const parts = this.#gather(this.#commits.get(key)!, epoch, isShort);
    const value = this.#world.byDigest.get(digest);
    if (!parts || !value) return;
    const certificate = this.#post.merge(certificateKind, parts);
    this.#try(() => {
      notary.certify(this.#post.receive(certificateKind, certificate), value, this.#world.committees.at(-1)!);
      return undefined;
    });
    if (notary.supply !== this.#world.info.supply) this.violations.push(`supply ${notary.supply}`);
  }

  #slots(): string[] {
    return [...new Set(this.#members.flatMap(notary => notary.openSlots()))];
  }

  #recoverAny(notary: SimNotary): void {
    const slots = this.#slots();
    if (slots.length === 0) return;
    const slot = this.#pick(slots);
    const others = this.#honest.filter(({ epoch }) => epoch === notary.epoch);
    const highest = Math.max(...others.map(other => other.ballot(slot).promised));
    this.#recover(notary, slot, Math.max(1, highest + this.#below(2)));
  }

  #recover(notary: SimNotary, slot: string, ballot: number): SignedReport | undefined {
    const intent = this.#try(() => notary.recover(slot, ballot, LONG_MS));
    if (intent?.type !== 'report') return undefined;
    const report = this.#post.sign(reportKind, intent.body, this.#world.keys[notary.index]!);
    const shown = { report, qc: intent.qc && this.#post.unpack(voteKind, intent.qc) };
    const key = `${slot}|${ballot}|${notary.epoch}`;
    const reports = this.#reports.get(key) ?? [];
    this.#reports.set(key, [...reports, shown]);
    return shown;
  }

  /** A liar's report: it hides its lock, shows another's or one that nobody voted for, and tells any time. */
  #lie(index: number, slot: string, ballot: number, epoch: number): SignedReport {
    const { net } = this.#world.info;
    const candidates = [...this.#votes.keys()]
      .map(key => this.#ballotAt(key))
      .filter(vote => vote.slot === slot);
    const wanted = candidates.length > 0 && this.#random() < 0.6 ? this.#pick(candidates) : undefined;
    const qc = wanted && this.#qc(wanted, this.#random() < 0.4);
    const known = this.#values
      .filter(() => this.#random() < 0.5)
      .slice(0, 30)
      .map(({ digest }) => ({
        value: new Uint8Array(Buffer.from(digest, 'hex')),
        timely: this.#random() < 0.7,
        afford: this.#random() < 0.7,
      }));
    const lock = wanted && qc ? { ...this.#body(wanted), ballot: wanted.ballot } : null;
    const at = T0 + (this.#random() < 0.5 ? this.#now : LAST * 2);
    // Made for another ballot, now and then.
    const told = this.#random() < 0.1 ? ballot + 1 : ballot;
    const rank = lock && { epoch: lock.epoch, ballot: lock.ballot, value: lock.value };
    const body = { net, epoch, slot, ballot: told, at, lock: rank, known };
    return { report: this.#post.sign(reportKind, body, this.#world.keys[index]!), qc: qc ?? null };
  }

  #coordinateAny(): void {
    const keys = [...this.#reports.keys()];
    if (keys.length === 0) return;
    const key = this.#pick(keys);
    const [slot = '', ballot = '', epoch = ''] = key.split('|');
    // Reports of other ballots are tried, too.
    const stale = this.#random() < 0.15 ? keys.filter(other => other.startsWith(`${slot}|`)) : [key];
    const honest = stale.flatMap(other => this.#reports.get(other)!);
    const lies = this.#liarsOf(Number(epoch)).map(i => this.#lie(i, slot, Number(ballot), Number(epoch)));
    const shown = [...honest, ...lies].sort(() => this.#random() - 0.5);
    const some = shown.slice(0, this.#committee(Number(epoch)).quorum + this.#below(2));
    this.#coordinate(slot, Number(ballot), some, Number(epoch));
  }

  #coordinate(slot: string, ballot: number, shown: SignedReport[], epoch: number): Proposal | undefined {
    const { keys } = this.#world;
    const committee = this.#committee(epoch);
    const index = keys.findIndex(({ peer }) => peer === coordinatorOf(slot, ballot, committee));
    const values = this.#valuesOf(shown);
    const received = shown.map(report => this.#receive(report));
    if (this.#liars.includes(index)) return this.#misguide(index, { epoch, slot, ballot }, received, values);
    const intent = this.#try(() => this.#notaries[index]!.coordinate(slot, ballot, received, values));
    if (intent?.type !== 'proposal') return undefined;
    this.#world.byDigest.set(intent.value.digest, intent.value);
    return this.#put(intent.body, index, shown, values);
  }

  #put(body: BallotProposal, index: number, shown: SignedReport[], values: Stated[]): Proposal {
    const signed = this.#post.sign(proposalKind, body, this.#world.keys[index]!);
    const proposal = { proposal: signed, shown, values };
    this.#proposals.push(proposal);
    return proposal;
  }

  /** A lying coordinator proposes whatever it likes, with any reports, and twice. */
  #misguide(index: number, at: Omit<Ballot, 'digest'>, shown: SignedReport[], values: Stated[]): undefined {
    const notary = this.#pick(this.#honest);
    const fallback = fallbackOf(at.slot, notary, this.#world.info);
    for (const value of [...values, ...(fallback ? [fallback] : [])]) {
      const { digest } = value;
      this.#world.byDigest.set(digest, this.#world.byDigest.get(digest) ?? value);
      if (this.#random() < 0.7) this.#put(this.#body({ ...at, digest }), index, shown, values);
    }
  }

  #receive({ report, qc }: SignedReport): SignedReport {
    return { report: this.#post.receive(reportKind, report), qc: qc && this.#post.receive(voteKind, qc) };
  }

  #valuesOf(shown: readonly SignedReport[]): Stated[] {
    const digests = shown.flatMap(({ report: { body } }) => [
      ...body.known.map(({ value }) => toHex(value)),
      ...(body.lock ? [toHex(body.lock.value)] : []),
    ]);
    const named = new Set(digests);
    const found = this.#world.values.filter(({ digest }) => named.has(digest));
    const others = [...named].filter(digest => !found.some(value => value.digest === digest));
    const all = [...found, ...others.flatMap(digest => this.#world.byDigest.get(digest) ?? [])];
    // Who carries them leaves something out now and then.
    return this.#isHealed ? all : all.filter(() => this.#random() < 0.9);
  }

  #electAny(notary: SimNotary): void {
    if (this.#proposals.length > 0)
      this.#elect(notary, this.#pick(this.#proposals.slice(this.#random() < 0.5 ? 0 : -6)));
  }

  #elect(notary: SimNotary, { proposal, shown, values }: Proposal): void {
    const intent = this.#try(() => {
      const received = shown.map(report => this.#receive(report));
      return notary.elect(this.#post.receive(proposalKind, proposal), received, values);
    });
    this.#takeVote(notary, intent);
  }

  /** Messages arrive, honest parties drive every slot to its end, and time goes on until nothing can be open. */
  #heal(): void {
    this.#isHealed = true;
    // What is decided in the last epoch is heard of, and what some notary knows.
    for (const key of this.#hidden) {
      const { epoch, slot } = this.#ballotAt(key);
      if (epoch === this.#epoch || this.#honest.some(notary => notary.slot(slot))) this.#hidden.delete(key);
    }
    for (let epoch = 1; epoch <= this.#epoch; epoch++) {
      for (const notary of this.#honest) if (notary.epoch < epoch) notary.end(this.#committee(epoch), true);
      for (const notary of this.#membersOf(epoch))
        this.#takeOver(notary, epoch, this.#committee(epoch - 1).quorum);
    }
    for (const until of [this.#now, LAST / 3 + 10_000, (2 * LAST) / 3 + 10_000, LAST + 10_000]) {
      this.#now = Math.max(this.#now, until);
      // A decision opens the slots that stand on it.
      for (let before = -1, after = 0; before !== after; after = this.#certified().length) {
        before = after;
        this.#settle();
      }
    }
  }

  #settle(): void {
    this.#spread();
    for (const value of this.#values) {
      if (!this.#isLive(value, this.#members[0]!)) continue;
      for (const notary of this.#members) this.#propose(notary, value);
    }
    for (const key of this.#hotKeys(this.#votes)) this.#carry(key);
    for (const slot of this.#slots()) this.#decide(slot);
  }

  #isLive({ statement }: Stated, book: SimNotary): boolean {
    if (statement.type === 'order') {
      const { account, seq } = statement.order.body;
      return book.account(account).seq === seq;
    }
    if (statement.type === 'redeem' || statement.type === 'revoke' || statement.type === 'removal')
      return isNext(statement, book);
    const stored = statement.type === 'evidence' && book.escrow(escrowOf(statement.evidence) ?? '');
    return stored ? holdsMoney(stored.escrow) : false;
  }

  /** Who knows what was decided there has nothing to commit to. */
  #carry(key: string): void {
    const ballot = this.#ballotAt(key);
    for (const notary of this.#members) if (!notary.slot(ballot.slot)) this.#commit(notary, ballot);
    this.#spread();
  }

  /** Anti-entropy: every decision reaches every honest notary. */
  #spread(): void {
    for (const key of this.#certified())
      for (const notary of this.#members)
        if (!notary.slot(this.#ballotAt(key).slot)) this.#certify(notary, key);
  }

  #decide(slot: string): void {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      if (this.#members.every(notary => notary.slot(slot) || notary.parked.has(slot))) return;
      const ballot = Math.max(...this.#members.map(notary => notary.ballot(slot).promised)) + 1;
      const reports = this.#members.flatMap(notary => this.#recover(notary, slot, ballot) ?? []);
      const proposal = this.#coordinate(slot, ballot, reports, this.#epoch);
      if (!proposal) continue;
      this.recoveries++;
      for (const notary of this.#members) this.#elect(notary, proposal);
      this.#carry(keyOf(ballotOf(proposal.proposal.body)));
    }
  }

  /** A claim or dispute that was in time everywhere is not undone by a time-out, and one that was in time nowhere is not decided. */
  #checkTime(): void {
    for (const [slot, { value }] of this.#members[0]!.decisions) {
      const kind = kindOf(value.statement);
      const seen = (key: string) => this.#honest.filter(({ timely }) => timely.has(key)).length;
      if ((kind === 'claim' || kind === 'dispute') && seen(`${slot}|${value.digest}`) === 0)
        this.violations.push(`${kind} in ${slot} was late everywhere`);
      if (kind !== 'timeout') continue;
      const keys = [...this.#honest[0]!.timely].filter(key => key.startsWith(`${slot}|`));
      if (keys.some(key => seen(key) === this.#honest.length))
        this.violations.push(`a time-out in ${slot} erased what was in time`);
    }
  }

  #check(): void {
    if (!this.#options.losesDisks) this.#checkTime();
    for (const [slot, digests] of this.#decided)
      if (digests.size > 1) this.violations.push(`${digests.size} decisions in ${slot}`);
    for (const notary of this.#members) {
      if (notary.supply !== this.#world.info.supply) this.violations.push(`supply ${notary.supply}`);
      for (const slot of [...notary.openSlots(), ...notary.parked.keys()]) this.stuck.push(slot);
      for (const { peer } of newcomers)
        if (notary.account(peer).memberships !== this.#members[0]!.account(peer).memberships)
          this.violations.push(`${peer} is a member of some`);
      for (const { escrow } of notary.escrows) {
        if (['OPEN', 'CLAIMED', 'DISPUTED'].includes(escrow.state)) this.stuck.push(escrow.escrowId);
        else if (!isSoundEnd(escrow)) this.violations.push(`${escrow.state} pays ${escrow.pay}`);
        const other = this.#members[0]!.escrow(escrow.escrowId)?.escrow;
        if (other && other.state !== escrow.state) this.violations.push(`${other.state} and ${escrow.state}`);
      }
    }
  }
}

/** True where a statement about an invite comes next. */
function isNext(
  statement: Extract<Stated['statement'], { type: 'redeem' | 'revoke' | 'removal' }>,
  book: SimNotary,
): boolean {
  if (book.slot(slotOf(statement))) return false;
  if (statement.type === 'removal') {
    const { invite, account, use } = statement.removal.body;
    return book.account(ticketOf(invite, account)).seq === use + 1;
  }
  const { use } = statement.type === 'redeem' ? statement.redeem.body : statement.revoke.body;
  const invite = statement.type === 'redeem' ? statement.invite.body.id : statement.revoke.body.invite;
  return book.account(purseOf(invite)).seq === use;
}

function ballotOf({ epoch, slot, ballot, value }: Vote): Ballot {
  return { epoch, slot, ballot, digest: toHex(value) };
}
