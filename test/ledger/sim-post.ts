import type { z } from 'zod';
import type { Signed } from '../../src/ledger/evidence.ts';
import {
  type BodyOf,
  type Kind,
  mergeSignatures,
  type Opened,
  open,
  type Signer,
  seal,
} from '../../src/wire/index.ts';

/** How statements of notaries are signed and checked on their way: for real, or by the simulation's own word. */
export interface Post {
  sign<S extends z.ZodType>(kind: Kind<S>, body: z.input<S>, signer: Signer): Signed<z.output<S>>;
  merge<K extends Kind<z.ZodType>>(kind: K, parts: readonly Signed<BodyOf<K>>[]): Signed<BodyOf<K>>;
  /** As bytes that a notary may keep, and back, checked. */
  pack(signed: Signed<unknown>): Uint8Array;
  unpack<S extends z.ZodType>(kind: Kind<S>, bytes: Uint8Array): Signed<z.output<S>>;
  /** As its receiver sees it, checked. */
  receive<S extends z.ZodType>(kind: Kind<S>, signed: Signed<z.output<S>>): Signed<z.output<S>>;
}

export const realPost: Post = {
  sign: (kind, body, signer) => seal(kind, body, signer),
  merge: (kind, parts) => mergeSignatures(kind, parts as Opened<never>[]),
  pack: signed => (signed as Opened<unknown>).bytes,
  unpack: (kind, bytes) => open(kind, bytes),
  receive: (kind, signed) => open(kind, (signed as Opened<never>).bytes),
};

const NO_DIGEST = new Uint8Array();

/** Signatures by word alone: nothing but `sign` makes them, so nobody forges one. A hundred times as fast. */
export function fastPost(): Post {
  const kept: Signed<unknown>[] = [];
  return {
    sign: (_, body, signer) => ({ body: body as never, signers: [signer.peer], digest: NO_DIGEST }),
    merge: (_, parts) => ({
      body: parts[0]!.body,
      signers: [...new Set(parts.flatMap(({ signers }) => signers))],
      digest: NO_DIGEST,
    }),
    pack(signed) {
      kept.push(signed);
      return Buffer.from(String(kept.length - 1));
    },
    unpack: (_, bytes) => kept[Number(Buffer.from(bytes).toString())] as never,
    receive: (_, signed) => signed,
  };
}
