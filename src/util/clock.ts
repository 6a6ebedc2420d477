/** Time as a component, so that tests can stop it. */
export interface Clock {
  /** Wall-clock milliseconds since 1970; what is signed and stored. */
  now(): number;
  /** Milliseconds that never step back; what durations are measured with. */
  monotonic(): number;
  /** Runs `fn` once after `ms`, unless the returned function is called before. Does not keep the process alive. */
  after(ms: number, fn: () => void): () => void;
}

/** A longer timer overflows Node's 32-bit delay and would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, fn) {
    const timer = setTimeout(fn, Math.min(Math.max(0, ms), MAX_TIMER_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Runs `fn` every `ms`, counted from the end of one run to the start of the next; returns what stops it. */
export function every(clock: Clock, ms: number, fn: () => void | Promise<void>): () => void {
  let stopped = false;
  let cancel = clock.after(ms, tick);
  async function tick(): Promise<void> {
    await fn();
    if (!stopped) cancel = clock.after(ms, tick);
  }
  return () => {
    stopped = true;
    cancel();
  };
}
