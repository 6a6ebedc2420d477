import { z } from 'zod';
import { type BodyOf, defineKind, type Opened, open } from './envelope.ts';
import { cborCid, cborCidOfDigest, sha256 } from './hash.ts';
import { amountSchema, countSchema, peerSchema, positiveAmountSchema, timeSchema } from './primitives.ts';

/** What a network is: agreed once, named by its hash, and in every statement through it. */
export const genesisKind = defineKind(
  'genesis',
  16 * 1024,
  z.strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
    admin: peerSchema,
    notaries: z.array(peerSchema).min(1).max(7),
    allocations: z.array(z.strictObject({ account: peerSchema, amount: positiveAmountSchema })).max(64),
    treasury: peerSchema,
    /** Of each release, in basis points, to the treasury. */
    feeBasisPoints: countSchema.max(1000),
    currency: z.enum(['FLOP', 'credits']),
    membership: z.enum(['invited', 'open']),
    /** What an open network gives each new member out of the admin's account. */
    openGrant: amountSchema,
    createdAt: timeSchema,
    nonce: z.instanceof(Uint8Array).refine(bytes => bytes.length === 16, 'not 16 bytes'),
  }),
);

export type Genesis = BodyOf<typeof genesisKind>;

/** A checked genesis with the names that follow from it. */
export interface GenesisInfo {
  readonly genesis: Genesis;
  /** The 32 bytes that every body holds. */
  readonly net: Uint8Array;
  /** The CID of the genesis: prefix of every protocol, topic and key. */
  readonly networkId: string;
  readonly bytes: Uint8Array;
  readonly supply: bigint;
}

/** Names of an opened genesis. The signer must be its admin; `open` has checked the signature. */
export function readGenesis(bytes: Uint8Array): GenesisInfo {
  return genesisInfo(open(genesisKind, bytes));
}

export function genesisInfo({ body, bodyBytes, bytes }: Opened<Genesis>): GenesisInfo {
  const supply = body.allocations.reduce((sum, { amount }) => sum + amount, 0n);
  return { genesis: body, net: sha256(bodyBytes), networkId: cborCid(bodyBytes), bytes, supply };
}

/** The network id of a `net`. */
export function networkIdOf(net: Uint8Array): string {
  return cborCidOfDigest(net);
}
