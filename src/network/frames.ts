import type { Stream } from '@libp2p/interface';
import * as lp from 'it-length-prefixed';
import { pipe } from 'it-pipe';
import { Uint8ArrayList } from 'uint8arraylist';
import { type Abortable, type Deferred, deferred, raceSignal } from '../util/index.ts';
import { broken, tooLarge } from './errors.ts';
import { BATCH_BYTES, CLOSE_MS } from './options.ts';

/** Length-prefixed frames on one libp2p stream, both ways, in order. */
export interface Frames {
  /** Resolves once the muxer took the frame, which waits for the other side's window. */
  send(frame: Uint8Array, options?: Abortable): Promise<void>;
  /** One reader at a time. Undefined after the other side's end; an abort loses no frame. */
  receive(options?: Abortable): Promise<Uint8Array | undefined>;
  /** Sends what is queued, then says goodbye; reads no more. */
  close(): Promise<void>;
  abort(error: Error): void;
}

interface Outgoing {
  readonly frame: Uint8ArrayList;
  readonly sent: Deferred<void>;
}

/**
 * @throws NetworkError (from `send` and `receive`) `MESSAGE_TOO_LARGE` above `maxBytes`, `STREAM_BROKEN` when the stream or its
 * connection was lost.
 */
export function createFrames(stream: Stream, peer: string, maxBytes: number): Frames {
  const writer = createWriter(stream, peer);
  const receive = createReader(stream, peer, maxBytes, writer.isEnded);
  return {
    receive,
    send(frame, options) {
      return frame.length > maxBytes
        ? Promise.reject(tooLarge(maxBytes, frame.length))
        : writer.send(frame, options);
    },
    async close() {
      const signal = AbortSignal.timeout(CLOSE_MS);
      try {
        await raceSignal(writer.end(), signal);
        await stream.close({ signal });
      } catch (error) {
        stream.abort(broken(peer, error));
      }
    },
    abort(error) {
      writer.fail(error);
      stream.abort(error);
    },
  };
}

function createWriter(stream: Stream, peer: string) {
  const queue: Outgoing[] = [];
  let taken: Outgoing[] = [];
  let wake: Deferred<void> | undefined;
  let ended = false;
  let failure: Error | undefined;

  async function* outgoing(): AsyncGenerator<Uint8ArrayList> {
    while (!failure) {
      if (queue.length === 0) {
        if (ended) return;
        wake = deferred();
        await wake.promise;
        continue;
      }
      const batch = new Uint8ArrayList();
      taken = [];
      for (
        let next = queue.shift();
        next;
        next = batch.byteLength < BATCH_BYTES ? queue.shift() : undefined
      ) {
        batch.appendAll([next.frame]);
        taken.push(next);
      }
      yield batch;
      for (const item of taken) item.sent.resolve();
      taken = [];
    }
  }

  function fail(error: Error): void {
    failure ??= error;
    for (const item of [...taken, ...queue.splice(0)]) item.sent.reject(failure);
    taken = [];
    wake?.resolve();
  }

  const done = pipe(outgoing(), stream.sink).then(
    () => fail(broken(peer)),
    error => fail(broken(peer, error)),
  );

  return {
    fail,
    isEnded: () => ended,
    async send(frame: Uint8Array, { signal }: Abortable = {}): Promise<void> {
      if (failure) throw failure;
      if (ended) throw broken(peer, new Error('it was closed here'));
      const item = { frame: lp.encode.single(frame), sent: deferred<void>() };
      queue.push(item);
      wake?.resolve();
      try {
        await raceSignal(item.sent.promise, signal);
      } catch (error) {
        const at = queue.indexOf(item);
        if (at >= 0) queue.splice(at, 1);
        throw error;
      }
    },
    end(): Promise<void> {
      ended = true;
      wake?.resolve();
      return done;
    },
  };
}

function createReader(stream: Stream, peer: string, maxBytes: number, isEnded: () => boolean) {
  const frames = pipe(stream.source, source => lp.decode(source, { maxDataLength: maxBytes }));
  const incoming = frames[Symbol.asyncIterator]();
  let next: Promise<Uint8Array | undefined> | undefined;

  async function pull(): Promise<Uint8Array | undefined> {
    try {
      const { done, value } = await incoming.next();
      if (!done) return value.subarray();
    } catch (error) {
      const name = error instanceof Error ? error.name : '';
      throw /^InvalidDataLength/.test(name) ? tooLarge(maxBytes) : broken(peer, error);
    }
    // A lost connection ends the source like a goodbye does, but has closed our own writing end too.
    if (!isEnded() && stream.timeline.closeWrite !== undefined)
      throw broken(peer, new Error('the connection was lost'));
    return undefined;
  }

  return async function receive({ signal }: Abortable = {}): Promise<Uint8Array | undefined> {
    next ??= pull();
    const frame = await raceSignal(next, signal);
    next = frame === undefined ? next : undefined;
    return frame;
  };
}
