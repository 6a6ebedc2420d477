import { classesOf, type WorkerClass } from '../../src/market/shards.ts';
import { randomOf } from '../../test/fixtures/random.ts';

const GIB = 2 ** 30;

/** A class of machines: what it lends, and its speed against the middle one. */
export interface Machine {
  readonly name: string;
  readonly speed: number;
  readonly total: {
    readonly slots: number;
    readonly milliCpus: number;
    readonly memoryBytes: number;
    readonly diskBytes: number;
    readonly gpus: { readonly count: number } | null;
  };
}

const machine = (
  name: string,
  speed: number,
  slots: number,
  cpus: number,
  gib: number,
  gpus = 0,
): Machine => ({
  name,
  speed,
  total: {
    slots,
    milliCpus: cpus * 1_000,
    memoryBytes: gib * GIB,
    diskBytes: 100 * GIB,
    gpus: gpus > 0 ? { count: gpus } : null,
  },
});

const laptop = machine('laptop', 0.8, 1, 2, 4);
const desktop = machine('desktop', 1, 2, 4, 16);
const server = machine('server', 1.2, 8, 16, 64);
const gpuBox = machine('GPU box', 1.2, 4, 8, 32, 2);

export const machines: readonly Machine[] = [laptop, desktop, server, gpuBox];

/** Of 20 nodes: 10 laptops, 6 desktops, 3 servers and a GPU box; every tenth node, a laptop, submits. */
const PATTERN = [
  ...[laptop, desktop, server, laptop, desktop, laptop, gpuBox, laptop, desktop, laptop],
  ...[laptop, desktop, server, laptop, desktop, laptop, server, laptop, desktop, laptop],
];
export const NODES_PER_REQUESTER = 10;

/** Of 20 nodes, the slots that they have for each. */
export const SLOTS_PER_NODE = 2.5;
export const slotsOf = (node: number): number => machineOf(node).total.slots;
export const machineOf = (node: number): Machine => PATTERN[node % PATTERN.length] as Machine;

export const serves = (node: number, name: WorkerClass): boolean =>
  classesOf(machineOf(node).total).includes(name);

/** What a task of each class asks for, and how many of 100 are of it. */
export const demands: Readonly<Record<WorkerClass, { percent: number; memoryBytes: number; gpus: number }>> =
  {
    cpu: { percent: 85, memoryBytes: GIB, gpus: 0 },
    mem: { percent: 12, memoryBytes: 8 * GIB, gpus: 0 },
    gpu: { percent: 3, memoryBytes: GIB, gpus: 1 },
  };

/** Mean and spread of a task's run on a machine of speed 1: half take under 6 s, one in a hundred over a minute. */
export const MEAN_RUN_MS = 10_000;
const RUN_SIGMA = 1;

export interface WorldInit {
  readonly nodes: number;
  readonly seed: number;
  /** Median round trip of two nodes, milliseconds. */
  readonly rttMs: number;
}

export interface SimInit extends WorldInit {
  /** Of what all machines that are up can do. */
  readonly load: number;
  /** Tasks that are measured. */
  readonly tasks: number;
  /** Between two failures of one machine, and until it is back, milliseconds. */
  readonly failEveryMs: number;
  readonly downMs: number;
  /** An award is for a slot that is free, else for the first that is; or it may wait in the worker's own queue. */
  readonly binding: 'late' | 'queue';
  /** Every task is of the class that any machine can run. */
  readonly isUniform?: boolean;
}

export const downShare = ({ failEveryMs, downMs }: SimInit): number => downMs / (failEveryMs + downMs);

/** Slots are taken from the start on; until a fifth of them was taken anew, that start may show. After three turns the figures are the same. */
const WARM_UP = 0.2;

/** Tasks before the first that is measured. */
export const warmUpTasks = ({ nodes, load }: SimInit): number =>
  Math.ceil(WARM_UP * load * nodes * SLOTS_PER_NODE) + 1_000;

/** Nodes, and how far they are from one another: places on a torus, and an access line each. All of it follows from the seed. */
export class World {
  readonly nodes: number;
  readonly random: () => number;
  readonly #seed: number;
  readonly #scale: number;
  readonly #members = new Map<WorkerClass, number[]>();

  constructor({ nodes, seed, rttMs }: WorldInit) {
    this.nodes = nodes;
    this.random = randomOf(seed);
    this.#seed = seed;
    const rtts = Array.from({ length: 10_001 }, (_, i) => 2 * this.#distance(2 * i, 2 * i + 1));
    this.#scale = rttMs / (rtts.sort((a, b) => a - b)[5_000] as number);
  }

  /** Milliseconds, without what a queue on the way adds. */
  rtt(a: number, b: number): number {
    return 2 * this.#scale * this.#distance(a, b);
  }

  /** One message: up to a tenth faster, and at times much slower. */
  delay(a: number, b: number): number {
    return this.#scale * this.#distance(a, b) * (0.9 + exponential(this.random, 0.1));
  }

  runMs(): number {
    return runMs(this.random);
  }

  /** What is left of a run that is met at a random moment: long ones are met more often. */
  restMs(): number {
    return this.random() * runMs(this.random) * Math.exp(RUN_SIGMA ** 2);
  }

  anyNode(): number {
    return Math.floor(this.random() * this.nodes);
  }

  membersOf(name: WorkerClass): readonly number[] {
    const known = this.#members.get(name);
    if (known) return known;
    const all = Array.from({ length: this.nodes }, (_, node) => node);
    const members = all.filter(node => serves(node, name));
    this.#members.set(name, members);
    return members;
  }

  /** One way, before it is scaled to the wanted median. */
  #distance(a: number, b: number): number {
    const across = (turn: number) => {
      const apart = Math.abs(this.#hash(a, turn) - this.#hash(b, turn));
      return Math.min(apart, 1 - apart);
    };
    return 4 * this.#access(a) + 4 * this.#access(b) + 60 * Math.hypot(across(1), across(2));
  }

  /** 1 for a fast line, and 10 for one node in ten. */
  #access(node: number): number {
    return 1 - Math.log(1 - this.#hash(node, 3)) * 1.5;
  }

  /** [0, 1) */
  #hash(node: number, turn: number): number {
    let x = Math.imul(node ^ this.#seed, 0x9e3779b1) ^ Math.imul(turn, 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
  }
}

export interface Job {
  /** Milliseconds after the one before. */
  readonly gapMs: number;
  readonly class: WorkerClass;
  /** On a machine of speed 1. */
  readonly runMs: number;
  readonly requester: number;
}

/** What users submit: for the same seed the same, whoever places it. */
export function* jobs(init: SimInit): Generator<Job, never> {
  const { nodes, seed } = init;
  const gapMs = meanGapMs(init);
  const random = randomOf(seed + 1);
  const requesters = Math.ceil(nodes / NODES_PER_REQUESTER);
  for (;;)
    yield {
      gapMs: exponential(random, gapMs),
      class: init.isUniform ? 'cpu' : drawClass(random() * 100),
      runMs: runMs(random),
      requester: Math.floor(random() * requesters) * NODES_PER_REQUESTER,
    };
}

function meanGapMs(init: SimInit): number {
  let power = 0;
  for (let node = 0; node < init.nodes; node++) power += slotsOf(node) * machineOf(node).speed;
  return MEAN_RUN_MS / (power * (1 - downShare(init)) * init.load);
}

function drawClass(draw: number): WorkerClass {
  if (draw < demands.cpu.percent) return 'cpu';
  return draw < demands.cpu.percent + demands.mem.percent ? 'mem' : 'gpu';
}

function runMs(random: () => number): number {
  return MEAN_RUN_MS * Math.exp(RUN_SIGMA * normal(random) - RUN_SIGMA ** 2 / 2);
}

export function exponential(random: () => number, mean: number): number {
  return -mean * Math.log(1 - random());
}

/** Box and Muller, 1958. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
