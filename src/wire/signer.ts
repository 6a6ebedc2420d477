import { createPrivateKey, createPublicKey, sign as nodeSign } from 'node:crypto';
import { keyBytesToPeer, noteSignature, type Signer } from './identity.ts';

/** PKCS#8 of Ed25519 (RFC 8410): this, then the 32-byte seed. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** A signer from the 32-byte Ed25519 seed. The key object is made once: importing it for each call is five times slower. */
export function signerFromSeed(seed: Uint8Array): Signer {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const own = spki.subarray(-32);
  return {
    peer: keyBytesToPeer(own),
    sign(bytes) {
      const signature = nodeSign(null, bytes, key);
      noteSignature(own, bytes, signature);
      return signature;
    },
  };
}
