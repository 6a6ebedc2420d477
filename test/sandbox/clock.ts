import { type Clock, systemClock } from '../../src/util/index.ts';

/** The system's clock, whose timers keep the process alive: where a test waits for nothing but them. */
export const keepAliveClock: Clock = {
  ...systemClock,
  after(ms, fn) {
    const timer = setTimeout(fn, Math.max(0, ms));
    return () => clearTimeout(timer);
  },
};
