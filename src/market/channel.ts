import type { MessageStream } from '../network/index.ts';
import { type Abortable, BoundedQueue, type Clock, CodedError, reasonOf } from '../util/index.ts';
import { type RequesterMessage, requesterMessage, type WorkerMessage, workerMessage } from '../wire/index.ts';

/** One side of a task stream: what it says and hears, decoded and checked. */
export interface Channel<Out, In> {
  readonly peer: string;
  send(message: Out, options?: Abortable): Promise<void>;
  /** Undefined once the other side closed; rejects when the stream broke or spoke nonsense. */
  receive(options?: Abortable): Promise<In | undefined>;
  close(): Promise<void>;
  abort(error: Error): void;
}

export type RequesterChannel = Channel<RequesterMessage, WorkerMessage>;
export type WorkerChannel = Channel<WorkerMessage, RequesterMessage>;

/**
 * The next message, if it comes within `ms`. The wait itself heeds the signal and nothing races it: a message that came at the moment
 * of an abort is either returned or still there for the next reader, never lost.
 * @throws CodedError `TIMEOUT`, the signal's reason, and what the channel throws.
 */
export async function receiveWithin<Out, In>(
  channel: Channel<Out, In>,
  ms: number,
  { signal, clock }: Abortable & { clock: Clock },
): Promise<In | undefined> {
  const wait = new AbortController();
  const onAbort = () => wait.abort(reasonOf(signal as AbortSignal));
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  const cancel = clock.after(ms, () =>
    wait.abort(new CodedError({ code: 'TIMEOUT', ms }, `the other side was silent for ${ms} ms`)),
  );
  try {
    return await channel.receive({ signal: wait.signal });
  } finally {
    cancel();
    signal?.removeEventListener('abort', onAbort);
  }
}

interface Codec<T> {
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

function overStream<Out, In>(stream: MessageStream, out: Codec<Out>, into: Codec<In>): Channel<Out, In> {
  return {
    peer: stream.peer,
    send: (message, options) => stream.send(out.encode(message), options),
    async receive(options) {
      const bytes = await stream.receive(options);
      return bytes === undefined ? undefined : into.decode(bytes);
    },
    close: () => stream.close(),
    abort: error => stream.abort(error),
  };
}

export function requesterChannel(stream: MessageStream): RequesterChannel {
  return overStream(
    stream,
    requesterMessage as Codec<RequesterMessage>,
    workerMessage as Codec<WorkerMessage>,
  );
}

export function workerChannel(stream: MessageStream): WorkerChannel {
  return overStream(
    stream,
    workerMessage as Codec<WorkerMessage>,
    requesterMessage as Codec<RequesterMessage>,
  );
}

/** Messages on their way at once: to wait for each would leave the line idle half of the time. */
const AHEAD = 4;

/** Sends messages in their order, each made when there is room for it. @throws what the first failed `send` threw. */
export async function sendAll<Out>(
  { send }: Pick<Channel<Out, unknown>, 'send'>,
  messages: AsyncIterable<Out>,
  options: Abortable = {},
): Promise<void> {
  const under: Promise<void>[] = [];
  let failure: { readonly error: unknown } | undefined;
  const fail = (error: unknown) => {
    failure ??= { error };
  };
  for await (const message of messages) {
    under.push(send(message, options).catch(fail));
    if (under.length >= AHEAD) await under.shift();
    if (failure) break;
  }
  await Promise.all(under);
  if (failure) throw failure.error;
}

/** Messages that wait on a local channel before their sender does: as much memory as a network's stream would hold. */
const LOCAL_QUEUE = 16;

/** Two ends in one process: the own node as worker, without a network between. */
export function localChannels(peer: string): { requester: RequesterChannel; worker: WorkerChannel } {
  const toWorker = new BoundedQueue<RequesterMessage>(LOCAL_QUEUE);
  const toRequester = new BoundedQueue<WorkerMessage>(LOCAL_QUEUE);
  let broken: Error | undefined;
  const end = <Out, In>(outbox: BoundedQueue<Out>, inbox: BoundedQueue<In>): Channel<Out, In> => ({
    peer,
    async send(message, options) {
      if (broken) throw broken;
      await outbox.put(message, options);
      if (broken) throw broken;
    },
    async receive({ signal }: Abortable = {}) {
      const message = await inbox.next({ signal });
      if (message === undefined && broken) throw broken;
      return message;
    },
    async close() {
      outbox.close();
    },
    abort(error) {
      broken ??= new CodedError({ code: 'STREAM_BROKEN' }, 'the other side gave up', { cause: error });
      outbox.close();
      inbox.close();
    },
  });
  return { requester: end(toWorker, toRequester), worker: end(toRequester, toWorker) };
}
