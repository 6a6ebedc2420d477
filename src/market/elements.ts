import { type Elements, MAX_MEMBERS, MEMBERS_BYTES } from '../wire/index.ts';
import { BUNDLE_WORK_MS, LEAST_BUNDLE_MS } from './options.ts';

type Values = Readonly<Record<string, string>>;

/** How many elements an array has. */
export function sizeOf(elements: Elements): number {
  return 'count' in elements
    ? elements.count
    : elements.matrix.reduce((product, { values }) => product * values.length, 1);
}

/** What sets an element apart: of a matrix one value of each name, those of the last name changing fastest. */
export function valuesOf(elements: Elements, index: number): Values {
  if ('count' in elements) return {};
  let rest = index;
  const pairs = elements.matrix.toReversed().map(({ name, values }): [string, string] => {
    const value = values[rest % values.length] as string;
    rest = Math.floor(rest / values.length);
    return [name, value];
  });
  return Object.fromEntries(pairs.reverse());
}

/** The variables of one run of an element; `run` counts from 1. */
export function envOf(elements: Elements, index: number, run: number): Values {
  return {
    ...valuesOf(elements, index),
    DUX_ARRAY_INDEX: String(index),
    DUX_ARRAY_COUNT: String(sizeOf(elements)),
    DUX_ARRAY_RUN: String(run),
  };
}

/** The variables that every element has, their names, and what encodes them. */
const OWN_BYTES = 100;
/** Of a name or a value, around its text. */
const AROUND_BYTES = 5;

/** How many elements' variables a spec has room for, whichever they are. */
export function mostMembers(elements: Elements): number {
  const matrix = 'matrix' in elements ? elements.matrix : [];
  const longest = (texts: readonly string[]) => Math.max(...texts.map(text => Buffer.byteLength(text)));
  const each = matrix.reduce(
    (sum, { name, values }) => sum + name.length + longest(values) + 2 * AROUND_BYTES,
    OWN_BYTES,
  );
  return Math.min(MAX_MEMBERS, Math.floor(MEMBERS_BYTES / each));
}

export interface BundleFacts {
  /** Elements that wait for a run. */
  readonly waiting: number;
  /** What one took so far, milliseconds; null: none has ended yet. */
  readonly meanMs: number | null;
  /** Bundles that run side by side, as far as is known. */
  readonly places: number;
  readonly most: number;
}

/**
 * How many elements go into the next bundle: one until it is known how long they take, then ten seconds of work; towards the end less, so
 * that all places come to their end together (guided self-scheduling, Polychronopoulos and Kuck 1987), but a second of work at least.
 */
export function bundleSize({ waiting, meanMs, places, most }: BundleFacts): number {
  if (meanMs === null) return Math.min(1, waiting);
  const each = Math.max(meanMs, 1);
  const share = Math.ceil(waiting / (2 * Math.max(1, places)));
  const least = Math.ceil(LEAST_BUNDLE_MS / each);
  const full = Math.ceil(BUNDLE_WORK_MS / each);
  return Math.min(waiting, most, full, Math.max(share, least));
}

/** The mean time of an element, over the last bundles more than over those before them. */
export class MeanTime {
  #ms = 0;
  #runs = 0;

  add(ms: number, runs: number): void {
    this.#ms = this.#ms / 2 + Math.max(0, ms);
    this.#runs = this.#runs / 2 + runs;
  }

  get ms(): number | null {
    return this.#runs === 0 ? null : this.#ms / this.#runs;
  }
}
