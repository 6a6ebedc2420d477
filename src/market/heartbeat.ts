import type { Clock } from '../util/index.ts';

/** Sends a heartbeat every `ms` until stopped or until one fails: then the reader notices, and acts. */
export function heartbeat(clock: Clock, ms: number, send: () => Promise<void>): () => void {
  let stopped = false;
  let cancel = clock.after(ms, tick);
  function tick(): void {
    send().then(
      () => {
        if (!stopped) cancel = clock.after(ms, tick);
      },
      () => {
        stopped = true;
      },
    );
  }
  return () => {
    stopped = true;
    cancel();
  };
}
