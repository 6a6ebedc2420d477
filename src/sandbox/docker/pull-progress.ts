import type { PullProgress } from '../interface.ts';

/** One line of the engine's answer to a pull. */
export interface PullEvent {
  readonly id?: string;
  readonly status?: string;
  readonly error?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
}

/** Layers that are counted; an image may have 127. */
const MAX_LAYERS = 256;
/** What is left of a layer when it has arrived: unpacking it. */
const UNPACKING = 0.2;

/** How far a layer is by what is said of it: from, and how much further at the end of that step. */
const STEPS: Readonly<Record<string, readonly [number, number]>> = {
  'Pulling fs layer': [0, 0],
  Waiting: [0, 0],
  Downloading: [0, 1 - UNPACKING],
  'Verifying Checksum': [1 - UNPACKING, 0],
  'Download complete': [1 - UNPACKING, 0],
  Extracting: [1 - UNPACKING, UNPACKING],
  'Pull complete': [1, 0],
  'Already exists': [1, 0],
};

interface Layer {
  /** 0 to 1. */
  readonly done: number;
  readonly bytes: number | undefined;
}

/** Adds up what the engine tells of a pull's layers. The fraction never falls; it is null until a layer is named. */
export function createPullProgress(): (event: PullEvent) => PullProgress {
  const layers = new Map<string, Layer>();
  let reached = 0;

  function note({ id = '', status = '', progressDetail: { current = 0, total = 0 } = {} }: PullEvent): void {
    const step = STEPS[status];
    const before = layers.get(id);
    if (!step || id === '' || (!before && layers.size >= MAX_LAYERS)) return;
    const [from, more] = step;
    const done = from + (total > 0 ? more * Math.max(0, Math.min(1, current / total)) : 0);
    // The packed size, which is told first: loading is what takes the time.
    const bytes = before?.bytes ?? (total > 0 ? total : undefined);
    layers.set(id, { done: Math.max(done, before?.done ?? 0), bytes });
  }

  return event => {
    note(event);
    if (layers.size > 0) reached = Math.max(reached, fractionOf([...layers.values()]));
    const text = [event.id, event.status].filter(Boolean).join(': ').slice(0, 200);
    return { fraction: layers.size > 0 ? reached : null, text };
  };
}

/** Layers count by their bytes; one whose size was not told yet counts as the mean of the others. */
function fractionOf(layers: readonly Layer[]): number {
  const sizes = layers.flatMap(({ bytes }) => (bytes === undefined ? [] : [bytes]));
  const mean = sizes.length > 0 ? sizes.reduce((sum, size) => sum + size, 0) / sizes.length : 1;
  let all = 0;
  let done = 0;
  for (const layer of layers) {
    all += layer.bytes ?? mean;
    done += layer.done * (layer.bytes ?? mean);
  }
  return done / all;
}
