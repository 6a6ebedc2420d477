import { setMaxListeners } from 'node:events';
import { type Clock, systemClock } from './clock.ts';
import { CodedError } from './errors.ts';

export interface Abortable {
  readonly signal?: AbortSignal | undefined;
}

/** The reason of an aborted signal as an Error. */
export function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason ?? 'aborted'));
}

/** Resolves after `ms`; rejects with the signal's reason when that aborts first. Leaves no timer or listener. */
export function sleep(
  ms: number,
  { signal, clock = systemClock }: Abortable & { clock?: Clock } = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(reasonOf(signal));
    const onAbort = () => {
      cancel();
      reject(reasonOf(signal as AbortSignal));
    };
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Rejects with the signal's reason if it aborts before `promise` settles; the promise itself goes on. */
export function raceSignal<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(reasonOf(signal));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/**
 * Runs `fn` with a signal that aborts after `ms` or with `parent`, and cleans up after itself.
 * @throws CodedError `TIMEOUT` when the time is over.
 */
export async function withDeadline<T>(
  ms: number,
  what: string,
  fn: (signal: AbortSignal) => Promise<T>,
  { signal: parent, clock = systemClock }: Abortable & { clock?: Clock } = {},
): Promise<T> {
  const controller = new AbortController();
  const onAbort = () => controller.abort(reasonOf(parent as AbortSignal));
  if (parent?.aborted) onAbort();
  parent?.addEventListener('abort', onAbort, { once: true });
  const cancel = clock.after(ms, () =>
    controller.abort(new CodedError({ code: 'TIMEOUT', what, ms }, `${what} took longer than ${ms} ms`)),
  );
  try {
    return await raceSignal(fn(controller.signal), controller.signal);
  } finally {
    cancel();
    parent?.removeEventListener('abort', onAbort);
  }
}

/**
 * Runs `fn` with a signal of its own, which aborts with `parent`, and once `fn` has settled: what it left under way ends then, too.
 * `waits` is how many may wait for it at once.
 */
export async function withOwnSignal<T>(
  waits: number,
  fn: (signal: AbortSignal) => Promise<T>,
  { signal: parent }: Abortable = {},
): Promise<T> {
  const controller = new AbortController();
  setMaxListeners(waits, controller.signal);
  const onAbort = () => controller.abort(reasonOf(parent as AbortSignal));
  if (parent?.aborted) onAbort();
  parent?.addEventListener('abort', onAbort, { once: true });
  try {
    return await fn(controller.signal);
  } finally {
    parent?.removeEventListener('abort', onAbort);
    controller.abort();
  }
}
