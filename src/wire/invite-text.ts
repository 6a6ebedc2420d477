import * as z from 'zod';
import { WireError } from './cbor.ts';
import { joinEnvelope, type Opened, open, seal, signaturesOf } from './envelope.ts';
import { cborCidOf } from './hash.ts';
import { keyBytesToPeer, peerToKeyBytes, type Signer } from './identity.ts';
import { type Invite, inviteKind } from './invite.ts';
import { defineMessage } from './message.ts';
import { exactBytesSchema } from './primitives.ts';
import { signerFromSeed } from './signer.ts';

/** An invite as its holder has it. */
export interface HeldInvite {
  readonly invite: Opened<Invite>;
  readonly admin: string;
  readonly networkId: string;
  /** The invite's own key: who has it may redeem. */
  readonly key: Signer;
  /** Of the admin's node. Unsigned, since they change: whoever answers there has to prove its key and show the genesis. */
  readonly addresses: readonly string[];
}

const PREFIX = 'dux1';
const MAX_ADDRESSES = 4;
const MAX_BYTES = 1536;
/** Of the longest, in base 64. */
export const MAX_INVITE_TEXT = PREFIX.length + Math.ceil(MAX_BYTES / 3) * 4;

const { net, grant, uses, expires } = inviteKind.schema.shape;

/** Of the envelope only what does not follow from the rest: the text is to be pasted. */
const heldMessage = defineMessage(
  'invite-text',
  MAX_BYTES,
  z.strictObject({
    net,
    grant,
    uses,
    expires,
    admin: exactBytesSchema(32),
    sig: exactBytesSchema(64),
    key: exactBytesSchema(32),
    at: z
      .array(z.string().regex(/^\/[^#\s]{1,199}$/))
      .min(1)
      .max(MAX_ADDRESSES),
  }),
);

export function isInviteText(text: string): boolean {
  return text.startsWith(PREFIX);
}

/**
 * The text of an invite, signed by `admin`.
 * @param seed of the invite's own key: 32 random bytes.
 * @param addresses of the admin's node; the first four are taken along.
 */
export function writeInvite(
  terms: Omit<Invite, 'id'>,
  seed: Uint8Array,
  admin: Signer,
  addresses: readonly string[],
): { id: string; text: string } {
  const id = signerFromSeed(seed).peer;
  const invite = seal(inviteKind, { ...terms, id }, admin);
  const { sig } = signaturesOf(inviteKind, invite)[0]!;
  const at = addresses.slice(0, MAX_ADDRESSES).map(address => address.replace(`/p2p/${admin.peer}`, ''));
  const held = { ...terms, admin: peerToKeyBytes(admin.peer)!, sig, key: seed, at };
  return { id, text: PREFIX + Buffer.from(heldMessage.encode(held)).toString('base64url') };
}

/** @throws WireError `WIRE_MALFORMED` for what is no whole invite; `WIRE_SIGNATURE` where its terms are not those that the admin signed. */
export function readInvite(text: string): HeldInvite {
  const bytes = Buffer.from(text.slice(PREFIX.length), 'base64url');
  let held: ReturnType<typeof heldMessage.decode>;
  try {
    if (!isInviteText(text)) throw new Error(`it does not begin with ${PREFIX}`);
    held = heldMessage.decode(bytes);
  } catch (cause) {
    throw new WireError(
      { code: 'WIRE_MALFORMED', what: 'invite' },
      'this is no invite, or not the whole of one: copy it once more',
      { cause },
    );
  }
  const { admin: adminKey, sig, key: seed, at, ...terms } = held;
  const admin = keyBytesToPeer(adminKey);
  const key = signerFromSeed(seed);
  const invite = open(
    inviteKind,
    joinEnvelope(inviteKind, { ...terms, id: key.peer }, [{ key: admin, sig }]),
  );
  const addresses = at.map(address => `${address}/p2p/${admin}`);
  return { invite, admin, networkId: cborCidOf(terms.net), key, addresses };
}
