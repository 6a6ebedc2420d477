import type { Readable } from 'node:stream';
import type { Frame } from '../box.ts';

/** What a sandbox writes, read only as fast as it is asked for, which holds the task back. */
export interface Output {
  next(): Promise<IteratorResult<Frame, void>>;
  /** The last line of stderr that was read. */
  lastWords(): string;
  destroy(): void;
}

const TAIL_BYTES = 1024;

export function createOutput(streams: Readonly<Record<Frame['stream'], Readable>>): Output {
  const order: Frame['stream'][] = ['stdout', 'stderr'];
  let wake = () => {};
  let tail = '';
  for (const stream of Object.values(streams))
    for (const event of ['readable', 'end', 'close', 'error']) stream.on(event, () => wake());

  function take(): Frame | undefined {
    for (const stream of order) {
      const bytes: Buffer | null = streams[stream].read();
      if (bytes === null) continue;
      // The other one first, next time: neither may keep the other back.
      order.reverse();
      if (stream === 'stderr') tail = (tail + bytes.toString()).slice(-TAIL_BYTES);
      return { stream, bytes };
    }
    return undefined;
  }

  const isOver = (stream: Readable) => stream.readableEnded || stream.destroyed;

  return {
    async next() {
      for (;;) {
        const frame = take();
        if (frame) return { done: false, value: frame };
        if (Object.values(streams).every(isOver)) return { done: true, value: undefined };
        await new Promise<void>(resolve => {
          wake = resolve;
        });
      }
    },
    lastWords: () => tail.trim().split('\n').at(-1) ?? '',
    destroy() {
      for (const stream of Object.values(streams)) stream.destroy();
    },
  };
}
