import type { Network } from '../../network/index.ts';
import { codeOf, every, messageOf } from '../../util/index.ts';
import { CandidateView } from '../candidates.ts';
import { SAMPLE, VIEW_RENEW_MS } from '../options.ts';
import type { RequesterComponents } from './interface.ts';

/** Of the view, what may be empty before a walk looks for more. */
const EMPTY = 1 / 4;

export interface AcquaintancesComponents extends Pick<RequesterComponents, 'clock' | 'logger' | 'random'> {
  readonly network: Pick<Network, 'self' | 'walk'>;
}

/** Whom a requester in a large network draws its samples from: a view fed by walks, by who is connected or bids, and by whom bids name. */
export class Acquaintances {
  readonly #components: AcquaintancesComponents;
  readonly #view: CandidateView<string>;
  #walking = false;

  constructor(components: AcquaintancesComponents) {
    this.#components = components;
    this.#view = new CandidateView(components.random);
  }

  /** Returns what stops it. */
  start(): () => void {
    return every(this.#components.clock, VIEW_RENEW_MS, () => this.#view.renew());
  }

  /** Up to eight of those that may be asked; who else may be is looked for beside it. */
  sample(connected: readonly string[], inFlight: number, mayAsk: (peer: string) => boolean): string[] {
    this.#view.fitTo(inFlight);
    this.#meet(connected);
    if (this.#view.room > this.#view.size * EMPTY) void this.#walk();
    return this.#view.sample(SAMPLE, mayAsk);
  }

  /** Who bid, whom these name, and who did not answer. */
  learn(bids: readonly { readonly worker: string; readonly hints: readonly string[] }[]): void {
    for (const { worker, hints } of bids) this.#meet([worker, ...hints]);
  }

  answered(peer: string): void {
    this.#view.answered(peer);
  }

  silent(peers: readonly string[]): void {
    for (const peer of peers) this.#view.silent(peer);
  }

  #meet(peers: readonly string[]): void {
    for (const peer of peers) if (peer !== this.#components.network.self) this.#view.add(peer);
  }

  async #walk(): Promise<void> {
    if (this.#walking) return;
    this.#walking = true;
    const { network, logger } = this.#components;
    try {
      this.#meet(await network.walk());
    } catch (error) {
      logger.debug({ code: codeOf(error), error: messageOf(error) }, 'a walk found nobody');
    } finally {
      this.#walking = false;
    }
  }
}
