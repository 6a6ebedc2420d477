import type { BidderView, Request } from '../../src/market/bidder.ts';
import type { Line, Share } from '../../src/market/capacity.ts';
import { defaultWindows } from '../../src/market/options.ts';
import { type WorkerClass, workerClasses } from '../../src/market/shards.ts';
import { termsFor } from '../../src/market/terms.ts';
import type { TaskSpec } from '../../src/wire/index.ts';
import { demands, type Job, machineOf, machines } from './world.ts';

const RUN_LIMIT_MS = 3_600_000;
const PRICE = 1_000_000n;
const MIB = 2 ** 20;

function specOf(name: WorkerClass): TaskSpec {
  const { memoryBytes, gpus } = demands[name];
  return {
    program: { code: 'run()' },
    image: 'python:3.9-slim',
    env: {},
    workingDir: null,
    runtime: null,
    reuse: false,
    resumable: false,
    allowHosts: [],
    gpus: gpus > 0 ? { count: gpus, vendor: 'nvidia', memoryBytes: 0 } : null,
    inputs: [],
    outputs: [],
    milliCpus: 1_000,
    memoryBytes,
    diskBytes: 100 * MIB,
    outputBytes: MIB,
    timeoutMs: RUN_LIMIT_MS,
  };
}

function offerFor(name: WorkerClass): Omit<Request, 'requester'> {
  const spec = specOf(name);
  return {
    needs: {
      milliCpus: spec.milliCpus,
      memoryBytes: spec.memoryBytes,
      diskBytes: spec.diskBytes,
      gpus: spec.gpus,
      network: false,
      runtime: null,
      architecture: null,
      image: spec.image,
      inputBytes: 1_000,
      outputBytes: spec.outputBytes,
    },
    terms: termsFor(spec),
    maxPrice: PRICE,
    priority: 5,
    deadline: Number.MAX_SAFE_INTEGER,
    verification: 'check',
    funds: null,
  };
}

const byClass = <T>(of: (name: WorkerClass) => T): Readonly<Record<WorkerClass, T>> =>
  Object.fromEntries(workerClasses.map(name => [name, of(name)])) as Record<WorkerClass, T>;

/** The same for all tasks of a class: what differs is how long they run, which no offer knows. */
const offers = byClass(offerFor);
export const shares: Readonly<Record<WorkerClass, Share>> = byClass(name => offers[name].needs);

/** What a worker knows beside its capacity: nothing that would make it refuse. */
const common = {
  now: 0,
  self: 'worker',
  draining: false,
  workerEnabled: true,
  paused: null,
  architecture: 'x64',
  storageBytes: Number.MAX_SAFE_INTEGER,
  price: null,
  minAmount: 1n,
  imagePolicy: { allowed: null, requireDigest: false },
  windows: defaultWindows,
  arbiters: [],
  payerFunds: 100n * PRICE,
  payerUnlocked: 0n,
  payerIsMember: true,
};

function sandboxOf(gpus: { readonly count: number } | null): BidderView['sandbox'] {
  return {
    available: true,
    reason: null,
    limits: {
      maxDiskBytes: Number.MAX_SAFE_INTEGER,
      minMemoryBytes: 1,
      runtimes: ['docker'],
      gpus: gpus && { count: gpus.count, vendor: 'nvidia', memoryBytes: 0 },
      allowedHosts: [],
      pullsImages: true,
    },
    hasImage: true,
  };
}

/** Good until the next call: a hundred million of them, and of the views below, would be most of the work. */
export function offerOf({ class: name, requester }: Job): Request {
  return Object.assign(offers[name], { requester: String(requester) });
}

type View = Omit<BidderView, 'capacity'> & { capacity?: Line };

const views = new Map(
  machines.map(machine => {
    const { gpus, slots } = machine.total;
    const view: View = { ...common, sandbox: sandboxOf(gpus), slots };
    return [machine, view];
  }),
);

/** Good until the next call. */
export function biddersView(node: number, capacity: Line): BidderView {
  return Object.assign(views.get(machineOf(node)) as View, { capacity });
}
