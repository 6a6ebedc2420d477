import { CodedError } from '../util/index.ts';
import type { Job } from './round-job.ts';

/** In all, and for one account or escrow: what does not fit is had from other notaries later. */
const MAX_PARKED = 4096;
const MAX_OF_ONE = 64;
/** Statements of 64 KiB would otherwise fill 256 MiB. */
const MAX_BYTES = 16 * 1024 * 1024;

export type ParkedErrorType = { code: 'PARKED_FULL'; waitsFor: string };

export function parkedFull(waitsFor: string): CodedError<ParkedErrorType> {
  return new CodedError<ParkedErrorType>(
    { code: 'PARKED_FULL', waitsFor },
    `too many decisions wait for what ${waitsFor} still lacks here: this notary has them from the others later`,
  );
}

const bytesOf = ({ values }: Job): number => values.reduce((sum, { value }) => sum + value.length, 0);

/** Decisions that wait until what they stand on is here, by the account or escrow that has to change first. */
export class ParkedDecisions {
  readonly #jobs = new Map<string, Map<string, Job>>();
  readonly #slots = new Set<string>();
  #bytes = 0;

  get size(): number {
    return this.#slots.size;
  }

  has(slot: string): boolean {
    return this.#slots.has(slot);
  }

  /** False where there is no room. One that waits already changes nothing. */
  add(waitsFor: string, job: Job): boolean {
    const slot = job.slots[0]!;
    const waiting = this.#jobs.get(waitsFor) ?? new Map<string, Job>();
    if (waiting.has(slot)) return true;
    const bytes = bytesOf(job);
    if (this.#slots.size >= MAX_PARKED || waiting.size >= MAX_OF_ONE || this.#bytes + bytes > MAX_BYTES)
      return false;
    this.#jobs.set(waitsFor, waiting.set(slot, job));
    this.#slots.add(slot);
    this.#bytes += bytes;
    return true;
  }

  /** Hands out, and forgets, what waits for any of `changed`. */
  take(changed: readonly string[]): Job[] {
    return changed.flatMap(name => {
      const jobs = [...(this.#jobs.get(name)?.values() ?? [])];
      this.#jobs.delete(name);
      for (const job of jobs) {
        this.#slots.delete(job.slots[0]!);
        this.#bytes -= bytesOf(job);
      }
      return jobs;
    });
  }
}
