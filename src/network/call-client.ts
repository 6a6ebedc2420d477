import type { Stream } from '@libp2p/interface';
import {
  type Abortable,
  type Clock,
  type Deferred,
  deferred,
  hasCode,
  raceSignal,
  withDeadline,
} from '../util/index.ts';
import { decodeError, decodeFrame, encodeFrame, FRAME_KIND, HEADER_BYTES } from './call-frame.ts';
import { broken, NetworkError, stopped } from './errors.ts';
import { createFrames, type Frames } from './frames.ts';
import type { ProtocolLimits } from './interface.ts';
import { CALL_SLACK_MS, COST, DEFAULT_CALL_MS, DEFAULT_MAX_BYTES, MAX_PENDING } from './options.ts';

export interface CallClientComponents {
  readonly clock: Clock;
  /** A new stream of a protocol, by its short name. */
  readonly openStream: (peer: string, protocol: string) => Promise<Stream>;
  /** The limits of a protocol that this node serves too. */
  readonly limitsOf: (protocol: string) => ProtocolLimits | undefined;
  readonly report: (peer: string, reason: string, cost: number) => void;
}

export interface CallClient {
  call(peer: string, protocol: string, request: Uint8Array, options?: Abortable): Promise<Uint8Array>;
  /** Breaks every stream. */
  close(): void;
}

interface Channel {
  readonly frames: Frames;
  readonly pending: Map<number, Deferred<Uint8Array>>;
  lastId: number;
  /** Frames that came in so far: a timeout without any since the request means a dead stream. */
  heard: number;
}

/** The asking side of `call`: one stream a peer and protocol, opened by the first call and again after it broke. */
export function createCallClient(components: CallClientComponents): CallClient {
  const { clock, openStream, limitsOf } = components;
  const channels = new Map<string, Promise<Channel>>();
  const opened = new Set<Frames>();

  function channelOf(peer: string, protocol: string): Promise<Channel> {
    const key = `${peer} ${protocol}`;
    let channel = channels.get(key);
    if (!channel) {
      channel = openChannel(peer, protocol, () => {
        if (channels.get(key) === channel) channels.delete(key);
      });
      channels.set(key, channel);
    }
    return channel;
  }

  async function openChannel(peer: string, protocol: string, forget: () => void): Promise<Channel> {
    try {
      const stream = await openStream(peer, protocol);
      const maxBytes = (limitsOf(protocol)?.maxBytes ?? DEFAULT_MAX_BYTES) + HEADER_BYTES;
      const frames = createFrames(stream, peer, maxBytes);
      const channel: Channel = { frames, pending: new Map(), lastId: 0, heard: 0 };
      opened.add(frames);
      void readAnswers(components, peer, channel).then(error => {
        forget();
        opened.delete(frames);
        for (const waiting of channel.pending.values()) waiting.reject(error);
        frames.abort(error);
      });
      return channel;
    } catch (error) {
      forget();
      throw error;
    }
  }

  return {
    call(peer, protocol, request, { signal } = {}) {
      const ms = (limitsOf(protocol)?.deadlineMs ?? DEFAULT_CALL_MS - CALL_SLACK_MS) + CALL_SLACK_MS;
      return withDeadline(
        ms,
        `${protocol} at ${peer}`,
        async deadline => {
          const channel = await raceSignal(channelOf(peer, protocol), deadline);
          return ask(channel, peer, request, deadline);
        },
        { signal, clock },
      );
    },
    close() {
      for (const frames of opened) frames.abort(stopped());
    },
  };
}

async function ask(
  channel: Channel,
  peer: string,
  request: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { frames, pending } = channel;
  if (pending.size >= MAX_PENDING)
    throw new NetworkError({ code: 'RATE_LIMITED', peer }, `${MAX_PENDING} calls to ${peer} wait already`);
  channel.lastId = (channel.lastId + 1) % 2 ** 32;
  const id = channel.lastId;
  const answer = deferred<Uint8Array>();
  const heard = channel.heard;
  pending.set(id, answer);
  try {
    const sent = frames.send(encodeFrame(FRAME_KIND.request, id, request), { signal });
    // A refused or failed send rejects first; else the answer decides, which may come before the send has returned.
    const [payload] = await raceSignal(Promise.all([answer.promise, sent]), signal);
    return payload;
  } catch (error) {
    if (hasCode(error, 'TIMEOUT') && channel.heard === heard) frames.abort(broken(peer, error));
    throw error;
  } finally {
    pending.delete(id);
  }
}

/** Hands answers to those who wait, until the stream ends; resolves to the error for the rest. */
async function readAnswers({ report }: CallClientComponents, peer: string, channel: Channel): Promise<Error> {
  try {
    for (;;) {
      const bytes = await channel.frames.receive();
      if (!bytes) return broken(peer);
      channel.heard++;
      const frame = decodeFrame(bytes);
      if (frame?.kind === FRAME_KIND.fatal) return decodeError(frame.payload, peer);
      if (frame?.kind === FRAME_KIND.answer) channel.pending.get(frame.id)?.resolve(frame.payload);
      else if (frame?.kind === FRAME_KIND.error)
        channel.pending.get(frame.id)?.reject(decodeError(frame.payload, peer));
      else {
        report(peer, 'malformed_answer', COST.malformed);
        return broken(peer, new Error('an answer was malformed'));
      }
    }
  } catch (error) {
    if (hasCode(error, 'MESSAGE_TOO_LARGE')) report(peer, 'oversize_answer', COST.oversize);
    return error instanceof Error ? error : broken(peer, error);
  }
}
