import type { Clock } from '../util/index.ts';
import type { Frame, StreamFormat } from './route.ts';

export const STREAM_TYPES: Readonly<Record<StreamFormat, string>> = {
  ndjson: 'application/x-ndjson; charset=utf-8',
  sse: 'text/event-stream; charset=utf-8',
};

/** What the client accepts, where it says so. */
export function streamFormat(accept: string | undefined, usual: StreamFormat): StreamFormat {
  if (accept?.includes('text/event-stream')) return 'sse';
  if (accept?.includes('application/x-ndjson')) return 'ndjson';
  return usual;
}

const SILENCE = Symbol('silence');
/** Nothing that a reader takes for an item: a comment in SSE, an empty line in NDJSON. */
const KEEP_ALIVE: Readonly<Record<StreamFormat, string>> = { ndjson: '\n', sse: ': still here\n\n' };
const END: Readonly<Record<StreamFormat, string>> = { ndjson: '', sse: 'event: end\ndata: {}\n\n' };

function encode({ id, event, data }: Frame<unknown>, format: StreamFormat): string {
  const json = JSON.stringify(data);
  return format === 'ndjson' ? `${json}\n` : `id: ${id}\nevent: ${event}\ndata: ${json}\n\n`;
}

/** Settles with the next item, or with SILENCE after `ms`. */
async function nextOrSilence<T>(next: Promise<T>, ms: number, clock: Clock): Promise<T | typeof SILENCE> {
  let cancel = () => {};
  const silence = new Promise<typeof SILENCE>(resolve => {
    cancel = clock.after(ms, () => resolve(SILENCE));
  });
  try {
    return await Promise.race([next, silence]);
  } finally {
    cancel();
  }
}

/**
 * Frames as text, with a sign of life after each `keepAliveMs` of silence. Ends with the frames, or quietly once `signal`
 * aborts: then nobody reads any more.
 */
export async function* encodeFrames(
  frames: AsyncIterable<Frame<unknown>>,
  {
    format,
    keepAliveMs,
    clock,
    signal,
  }: { format: StreamFormat; keepAliveMs: number; clock: Clock; signal: AbortSignal },
): AsyncGenerator<string> {
  const items = frames[Symbol.asyncIterator]();
  // Headers leave with the first byte: a follower of a silent stream must see at once that it stands.
  yield KEEP_ALIVE[format];
  try {
    let next = items.next();
    while (!signal.aborted) {
      const item = await nextOrSilence(next, keepAliveMs, clock);
      if (item === SILENCE) {
        yield KEEP_ALIVE[format];
        continue;
      }
      if (item.done) {
        yield END[format];
        return;
      }
      yield encode(item.value, format);
      next = items.next();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await items.return?.();
  }
}
