import { MAX_HINTS } from '../wire/index.ts';
import { VIEW_MAX, VIEW_MIN } from './options.ts';

/** Offers without an answer, one after another, after which a peer is taken for gone. */
const SILENCES = 2;
/** Of the view, what `renew` gives up: nobody stays in it by having come first. */
const RENEWED = 1 / 8;

/** Up to `count` different ones of some, at random. */
export function draw<T>(count: number, some: readonly T[], random: () => number): T[] {
  const left = [...some];
  const drawn: T[] = [];
  while (drawn.length < count && left.length > 0) {
    const at = Math.floor(random() * left.length);
    drawn.push(left[at] as T);
    left[at] = left[left.length - 1] as T;
    left.pop();
  }
  return drawn;
}

/**
 * The peers that a requester draws samples from, in a network too large to know. Fed by random walks, shard members, bidders and
 * what these name; full, it takes nobody, so that nobody can push others out of it.
 */
export class CandidateView<P> {
  readonly #random: () => number;
  readonly #peers: P[] = [];
  readonly #places = new Map<P, number>();
  /** Those that did not answer the last offer. */
  readonly #silences = new Map<P, number>();
  #limit = VIEW_MIN;

  /** @param random gives [0, 1) */
  constructor(random: () => number) {
    this.#random = random;
  }

  get size(): number {
    return this.#peers.length;
  }

  /** How many more it takes. */
  get room(): number {
    return Math.max(0, this.#limit - this.#peers.length);
  }

  /** Twice the tasks in flight, within limits: with fewer, samples of the own tasks meet at the same workers. */
  fitTo(inFlight: number): void {
    this.#limit = Math.min(VIEW_MAX, Math.max(VIEW_MIN, 2 * inFlight));
    while (this.#peers.length > this.#limit) this.#dropAny();
  }

  /** False: it is full, or has that peer. */
  add(peer: P): boolean {
    if (this.room === 0 || this.#places.has(peer)) return false;
    this.#places.set(peer, this.#peers.length);
    this.#peers.push(peer);
    return true;
  }

  /** Up to `count` different peers at random of those that may be asked. */
  sample(count: number, mayAsk: (peer: P) => boolean): P[] {
    return draw(count, this.#peers.filter(mayAsk), this.#random);
  }

  hints(): P[] {
    return draw(MAX_HINTS, this.#peers, this.#random);
  }

  answered(peer: P): void {
    this.#silences.delete(peer);
  }

  silent(peer: P): void {
    if (!this.#places.has(peer)) return;
    const silences = (this.#silences.get(peer) ?? 0) + 1;
    if (silences < SILENCES) this.#silences.set(peer, silences);
    else this.drop(peer);
  }

  drop(peer: P): void {
    const at = this.#places.get(peer);
    if (at === undefined) return;
    this.#places.delete(peer);
    const last = this.#peers.pop();
    if (last !== undefined && last !== peer) {
      this.#peers[at] = last;
      this.#places.set(last, at);
    }
    this.#silences.delete(peer);
  }

  /** Every ten minutes: makes room for others. */
  renew(): void {
    for (let count = Math.floor(this.#peers.length * RENEWED); count > 0; count--) this.#dropAny();
  }

  #dropAny(): void {
    const peer = this.#peers[Math.floor(this.#random() * this.#peers.length)];
    if (peer !== undefined) this.drop(peer);
  }
}
