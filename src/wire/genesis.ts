import * as z from 'zod';
import { WireError } from './cbor.ts';
import { type BodyOf, defineKind, type Opened, open } from './envelope.ts';
import { cborCid, sha256 } from './hash.ts';
import {
  amountSchema,
  countSchema,
  exactBytesSchema,
  MAX_AMOUNT,
  peerSchema,
  positiveAmountSchema,
  timeSchema,
} from './primitives.ts';

function sumOf(allocations: readonly { readonly amount: bigint }[]): bigint {
  return allocations.reduce((sum, { amount }) => sum + amount, 0n);
}

export const notariesSchema = z
  .array(peerSchema)
  .min(1)
  .max(7)
  .refine(keys => new Set(keys).size === keys.length, 'a notary twice');

/** What a network is: agreed once, named by its hash, and in every statement through it. */
export const genesisKind = defineKind(
  'genesis',
  16 * 1024,
  z.strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
    admin: peerSchema,
    /** Of the first epoch. */
    notaries: notariesSchema,
    allocations: z
      .array(z.strictObject({ account: peerSchema, amount: positiveAmountSchema }))
      .max(64)
      .refine(all => sumOf(all) <= MAX_AMOUNT, 'more than one amount can hold'),
    treasury: peerSchema,
    /** Of each release, in basis points, to the treasury. */
    feeBasisPoints: countSchema.max(1000),
    /** The least that a lock or a transfer moves: what each entry of the ledger, and each account, costs its maker to hold. */
    minAmount: amountSchema,
    currency: z.enum(['FLOP', 'credits']),
    membership: z.enum(['invited', 'open']),
    /** What an open network gives each new member out of the admin's account. */
    openGrant: amountSchema,
    createdAt: timeSchema,
    nonce: exactBytesSchema(16),
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

/** @throws WireError those of `open`, and `WIRE_SIGNATURE` for a genesis that its admin has not signed, or not alone. */
export function readGenesis(bytes: Uint8Array): GenesisInfo {
  return genesisInfo(open(genesisKind, bytes));
}

/** Names of an opened genesis. @throws WireError `WIRE_SIGNATURE` when its admin is not its only signer. */
export function genesisInfo({ body, bodyBytes, bytes, signers }: Opened<Genesis>): GenesisInfo {
  if (signers.length !== 1 || signers[0] !== body.admin)
    throw new WireError(
      { code: 'WIRE_SIGNATURE', what: genesisKind.name },
      'a genesis must be signed by its admin alone',
    );
  const supply = sumOf(body.allocations);
  return { genesis: body, net: sha256(bodyBytes), networkId: cborCid(bodyBytes), bytes, supply };
}
