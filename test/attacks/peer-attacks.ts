import { randomBytes } from 'node:crypto';
import type { Network } from '../../src/network/index.ts';
import {
  bidKind,
  claimMessage,
  encodeCbor,
  ledgerOrderKind,
  ledgerRequestMessage,
  MAX_TASK_MESSAGE,
  offerAnswerMessage,
  offerKind,
  requesterMessage,
  type Signer,
  seal,
  statusRequestMessage,
} from '../../src/wire/index.ts';
import { alice, kindSamples, ref } from '../wire/samples.ts';

/** A member's libp2p with nothing of a member's manners. */
export interface Hostile {
  readonly network: Network;
  readonly signer: Signer;
}

interface Victim {
  readonly peer: string;
  readonly net: Uint8Array;
}

export interface Attack {
  readonly name: string;
  /** What the victim counts it as. */
  readonly reason: RegExp;
  /** Sends it once; what comes back, if anything does. */
  readonly send: (hostile: Hostile, victim: Victim) => Promise<unknown>;
  /** The code of the refusal, where the victim answers. */
  readonly refusal?: RegExp;
}

const garbage = (size = 200) => new Uint8Array(randomBytes(size));

/** A sound offer of `signer`'s; `change` makes it unsound. */
function offerOf(signer: Signer, { net }: Victim, change: object = {}) {
  const sample = kindSamples.find(({ kind }) => kind.name === 'offer');
  const now = Date.now();
  const body = {
    ...sample?.body,
    net,
    requester: signer.peer,
    issuedAt: now,
    deadline: now + 60_000,
    ...change,
  };
  return seal(offerKind, body as never, signer);
}

function bidOf(signer: Signer, { net }: Victim, change: object = {}) {
  const sample = kindSamples.find(({ kind }) => kind.name === 'bid');
  return seal(bidKind, { ...sample?.body, net, worker: signer.peer, ...change } as never, signer);
}

/** One bit of the signature, which is near the end of an envelope. */
function forged(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[copy.length - 10] = (copy[copy.length - 10] as number) ^ 1;
  return copy;
}

const call =
  (protocol: string, make: (hostile: Hostile, victim: Victim) => Uint8Array): Attack['send'] =>
  (hostile, victim) =>
    hostile.network.call(victim.peer, protocol, make(hostile, victim));

/** Opens a task stream, says `messages`, and waits for the victim to end it. */
const say =
  (make: (hostile: Hostile, victim: Victim) => Uint8Array): Attack['send'] =>
  async (hostile, victim) => {
    const stream = await hostile.network.open(victim.peer, 'task');
    await stream.send(make(hostile, victim));
    return stream.receive();
  };

const award = (bytes: Uint8Array, offer: Uint8Array) =>
  requesterMessage.encode({
    type: 'award',
    award: bytes,
    offer,
    order: garbage(),
    salt: garbage(32),
    spec: garbage(),
    atOnce: false,
  });

export const attacks: readonly Attack[] = [
  {
    name: 'an offer of random bytes',
    send: call('offer', () => garbage()),
    reason: /^WIRE_/,
    refusal: /^WIRE_/,
  },
  {
    name: 'an offer above its limit',
    send: call('offer', () => garbage(3500)),
    reason: /^WIRE_TOO_LARGE$/,
    refusal: /^WIRE_TOO_LARGE$/,
  },
  {
    name: 'a request above the limit of its protocol',
    send: call('offer', () => garbage(10_000)),
    reason: /^oversize_request$/,
  },
  {
    name: 'an offer with a forged signature',
    send: call('offer', ({ signer }, victim) => forged(offerOf(signer, victim).bytes)),
    reason: /^WIRE_SIGNATURE$/,
    refusal: /^WIRE_SIGNATURE$/,
  },
  {
    name: 'an offer in another’s name',
    send: call('offer', ({ signer }, victim) => offerOf(signer, victim, { requester: alice.peer }).bytes),
    reason: /^OFFER_INVALID$/,
    refusal: /^OFFER_INVALID$/,
  },
  {
    name: 'another’s sound offer, replayed',
    send: call('offer', (_hostile, victim) => offerOf(alice, victim).bytes),
    reason: /^OFFER_INVALID$/,
    refusal: /^OFFER_INVALID$/,
  },
  {
    name: 'an offer of another network',
    send: call('offer', ({ signer }, victim) => offerOf(signer, victim, { net: garbage(32) }).bytes),
    reason: /^OFFER_INVALID$/,
    refusal: /^OFFER_INVALID$/,
  },
  { name: 'a bid of random bytes', send: call('bid', () => garbage()), reason: /^WIRE_/, refusal: /^WIRE_/ },
  {
    name: 'a bid with a forged signature',
    send: call('bid', ({ signer }, victim) =>
      offerAnswerMessage.encode({ type: 'bid', bid: forged(bidOf(signer, victim).bytes) }),
    ),
    reason: /^WIRE_SIGNATURE$/,
    refusal: /^WIRE_SIGNATURE$/,
  },
  {
    name: 'a request for a place of random bytes',
    send: call('place', () => garbage()),
    reason: /^WIRE_/,
    refusal: /^WIRE_/,
  },
  {
    name: 'a claim with another’s bid',
    send: call('claim', (_hostile, victim) => claimMessage.encode({ bid: bidOf(alice, victim).bytes })),
    reason: /^BID_INVALID$/,
    refusal: /^BID_INVALID$/,
  },
  {
    name: 'a flood of claims of tasks that do not wait',
    send: ({ network, signer }, victim) => {
      const claim = claimMessage.encode({ bid: bidOf(signer, victim).bytes });
      return Promise.allSettled(
        Array.from({ length: 1_100 }, () => network.call(victim.peer, 'claim', claim)),
      );
    },
    reason: /^rate$/,
  },
  {
    name: 'a status request of random bytes',
    send: call('status', () => garbage()),
    reason: /^WIRE_/,
    refusal: /^WIRE_/,
  },
  {
    name: 'a ledger request of random bytes',
    send: call('ledger', () => garbage()),
    reason: /^WIRE_/,
    refusal: /^WIRE_/,
  },
  {
    name: 'a ledger order with a forged signature',
    send: call('ledger', ({ signer }, { net }) => {
      const sample = kindSamples.find(({ kind }) => kind.name === ledgerOrderKind.name);
      const order = seal(ledgerOrderKind, { ...sample?.body, net, account: signer.peer } as never, signer);
      return ledgerRequestMessage.encode({ type: 'submit', values: [forged(order.bytes)] });
    }),
    reason: /^WIRE_SIGNATURE$/,
  },
  { name: 'a task stream of random bytes', send: say(() => garbage()), reason: /^WIRE_/ },
  {
    name: 'a task stream that begins in the middle',
    send: say(() => requesterMessage.encode({ type: 'heartbeat' })),
    reason: /^PROTOCOL$/,
  },
  {
    name: 'an award of random bytes',
    send: say(({ signer }, victim) => award(garbage(), offerOf(signer, victim).bytes)),
    reason: /^WIRE_/,
  },
  {
    name: 'a task message above the limit',
    send: say(() => new Uint8Array(MAX_TASK_MESSAGE + 1)),
    reason: /^WIRE_TOO_LARGE$/,
  },
  {
    name: 'gossip of random bytes',
    send: ({ network }) => network.publish('offer/all', garbage()),
    reason: /^gossip_reject$/,
  },
  {
    name: 'gossip with a forged signature',
    send: ({ network, signer }, victim) =>
      network.publish(
        'offer/all',
        forged(offerOf(signer, victim, { bidWindowMs: Math.floor(Math.random() * 1e6) }).bytes),
      ),
    reason: /^gossip_reject$/,
  },
  {
    name: 'gossip above its limit',
    send: ({ network }) => network.publish('offer/all', encodeCbor(garbage(4000))),
    reason: /^gossip_reject$/,
  },
  {
    name: 'a flood of sound requests',
    send: ({ network }, { peer }) =>
      Promise.allSettled(
        Array.from({ length: 1_000 }, () => network.call(peer, 'status', statusRequestMessage.encode(ref))),
      ),
    reason: /^rate$/,
  },
];
