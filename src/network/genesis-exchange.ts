import './polyfill.ts';
import { noise } from '@chainsafe/libp2p-noise';
import type { Connection, Stream } from '@libp2p/interface';
import { createLibp2p } from 'libp2p';
import { type Abortable, messageOf, raceSignal } from '../util/index.ts';
import { parseAddress } from './dial.ts';
import { NetworkError } from './errors.ts';
import { createFrames } from './frames.ts';
import type { Peer } from './interface.ts';
import { muxer, type TransportKind, transportOf } from './libp2p.ts';
import { GENESIS_PROTOCOL, MAX_GENESIS_BYTES, OPEN_MS } from './options.ts';

export interface FetchedGenesis {
  readonly bytes: Uint8Array;
  readonly from: Peer;
}

/** Answers one stream of the unprefixed genesis protocol. Never rejects. */
export async function answerGenesis(genesis: Uint8Array, stream: Stream, peer: string): Promise<void> {
  const frames = createFrames(stream, peer, MAX_GENESIS_BYTES);
  try {
    await frames.send(genesis, { signal: AbortSignal.timeout(OPEN_MS) });
    await frames.close();
  } catch (error) {
    frames.abort(error instanceof Error ? error : new Error(messageOf(error)));
  }
}

/**
 * Asks all of `addresses` (multiaddrs, with or without a peer id) for their network's genesis and takes the first answer, unchecked:
 * the caller compares it with the network id it was given. `from` proved its key. A node without identity does this, and is gone after.
 * @throws NetworkError `ADDRESS_INVALID`; `GENESIS_UNAVAILABLE` when none answered.
 */
export async function fetchGenesis(
  addresses: readonly string[],
  { signal, transport = 'tcp' }: Abortable & { readonly transport?: TransportKind } = {},
): Promise<FetchedGenesis> {
  const targets = addresses.map(parseAddress);
  const node = await createLibp2p({
    addresses: { listen: [] },
    transports: [transportOf(transport)],
    connectionEncrypters: [noise()],
    streamMuxers: [muxer()],
    connectionMonitor: { enabled: false },
  });
  try {
    const asked = targets.map(async target =>
      ask(await node.dial(target, { signal: AbortSignal.timeout(OPEN_MS) })),
    );
    return await raceSignal(Promise.any(asked), signal);
  } catch (error) {
    if (!(error instanceof AggregateError)) throw error;
    throw new NetworkError(
      { code: 'GENESIS_UNAVAILABLE', addresses },
      `no genesis from ${addresses.join(', ')}: ${error.errors.map(messageOf).join('; ')}`,
      { cause: error },
    );
  } finally {
    await node.stop();
  }
}

async function ask(connection: Connection): Promise<FetchedGenesis> {
  const from = connection.remotePeer.toString();
  const signal = AbortSignal.timeout(OPEN_MS);
  const stream = await connection.newStream(GENESIS_PROTOCOL, { signal });
  const bytes = await createFrames(stream, from, MAX_GENESIS_BYTES).receive({ signal });
  if (!bytes) throw new Error(`${from} has no genesis`);
  return { bytes, from };
}
