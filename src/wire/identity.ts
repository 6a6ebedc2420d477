import { createPublicKey, hash, type KeyObject, verify as nodeVerify } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519';
import { LRUCache } from 'lru-cache';
import { base58btc } from 'multiformats/bases/base58';

/** Signs as one peer. */
export interface Signer {
  readonly peer: string;
  sign(bytes: Uint8Array): Uint8Array;
}

/** An Ed25519 peer id is the identity multihash of the protobuf {type: 1, data: key}: this, then 32 bytes. */
const PEER_PREFIX = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20);
/** SubjectPublicKeyInfo of Ed25519 (RFC 8410): this, then 32 bytes. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

interface KnownKey {
  readonly bytes: Uint8Array;
  readonly key: KeyObject;
}

/** Peers that one node hears of at a time; checking a key costs about 1 ms, a cached one nothing. */
const known = new LRUCache<string, KnownKey>({ max: 10_000 });

/**
 * A key is admitted only when it is a canonical point of the prime-order subgroup: verifiers disagree on mixed-order keys,
 * and a small-order key passes for any message.
 */
function isSoundKey(bytes: Uint8Array): boolean {
  try {
    const point = ed25519.ExtendedPoint.fromHex(bytes, false);
    return !point.isSmallOrder() && point.isTorsionFree();
  } catch {
    return false;
  }
}

/** The key's bytes in the canonical text of an Ed25519 peer id, sound or not; undefined for any other text. */
function parsePeer(peer: string): Uint8Array | undefined {
  if (peer.length > 60) return undefined;
  let raw: Uint8Array;
  try {
    raw = base58btc.baseDecode(peer);
  } catch {
    return undefined;
  }
  if (raw.length !== 38 || !PEER_PREFIX.every((byte, i) => raw[i] === byte)) return undefined;
  return base58btc.baseEncode(raw) === peer ? raw.slice(6) : undefined;
}

function lookUp(peer: string): KnownKey | undefined {
  const cached = known.get(peer);
  if (cached) return cached;
  const bytes = parsePeer(peer);
  if (!bytes || !isSoundKey(bytes)) return undefined;
  const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, bytes]), format: 'der', type: 'spki' });
  const entry = { bytes, key };
  known.set(peer, entry);
  return entry;
}

/** True for the canonical text of an Ed25519 peer id. Its key may be unsound: then no signature of it ever passes. */
export function isPeerText(text: string): boolean {
  return known.has(text) || parsePeer(text) !== undefined;
}

/** The 32 bytes of the key in a peer id; undefined for anything but a sound Ed25519 key in canonical text. */
export function peerToKeyBytes(peer: string): Uint8Array | undefined {
  return lookUp(peer)?.bytes;
}

/** The peer id of an Ed25519 public key of 32 bytes. */
export function keyBytesToPeer(bytes: Uint8Array): string {
  return base58btc.baseEncode(Uint8Array.from([...PEER_PREFIX, ...bytes]));
}

/**
 * Signatures that were found good, by the hash of all that was checked: one statement is opened at several places of its way
 * (offer, award, lock), and looking it up costs a fiftieth of checking it. About 100 bytes each.
 */
const good = new LRUCache<string, true>({ max: 10_000 });

function nameOf(key: Uint8Array, bytes: Uint8Array, signature: Uint8Array): string {
  return hash('sha256', Buffer.concat([key, signature, bytes]), 'base64');
}

/** Notes a signature that was made here: it comes back in votes and certificates. */
export function noteSignature(key: Uint8Array, bytes: Uint8Array, signature: Uint8Array): void {
  good.set(nameOf(key, bytes, signature), true);
}

/** Checks `signature` of `peer` over `bytes` (RFC 8032, by node:crypto alone). False for an unsound key. */
export function verifySignature(peer: string, bytes: Uint8Array, signature: Uint8Array): boolean {
  const entry = lookUp(peer);
  if (entry === undefined || signature.length !== 64) return false;
  const name = nameOf(entry.bytes, bytes, signature);
  if (good.has(name)) return true;
  if (!nodeVerify(null, bytes, entry.key, signature)) return false;
  good.set(name, true);
  return true;
}
