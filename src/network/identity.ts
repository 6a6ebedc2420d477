import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

export interface Identity {
  readonly peer: string;
  readonly privateKey: Ed25519PrivateKey;
  /** The 32-byte Ed25519 seed: what `signerFromSeed` takes. */
  readonly seed: Uint8Array;
  /** Seed and public key, 64 bytes. */
  readonly raw: Uint8Array;
}

export function identityOf(privateKey: Ed25519PrivateKey): Identity {
  const raw = privateKey.raw.slice();
  return { peer: peerIdFromPrivateKey(privateKey).toString(), privateKey, seed: raw.slice(0, 32), raw };
}

export async function createIdentity(): Promise<Identity> {
  return identityOf(await generateKeyPair('Ed25519'));
}
