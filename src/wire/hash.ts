import { hash } from 'node:crypto';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';

const SHA2_256 = 0x12;
const RAW = 0x55;
const DAG_CBOR = 0x71;

export function sha256(...parts: Uint8Array[]): Uint8Array {
  const [first = new Uint8Array()] = parts;
  return new Uint8Array(hash('sha256', parts.length > 1 ? Buffer.concat(parts) : first, 'buffer'));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function cidText(codec: number, digest: Uint8Array): string {
  return CID.createV1(codec, createDigest(SHA2_256, digest)).toString();
}

/** The CID of plain bytes (codec raw, sha2-256). */
export function rawCid(bytes: Uint8Array): string {
  return cidText(RAW, sha256(bytes));
}

/** The same of bytes whose sha2-256 is known. */
export function rawCidOf(digest: Uint8Array): string {
  return cidText(RAW, digest);
}

/** The CID of dag-cbor bytes (codec dag-cbor, sha2-256). */
export function cborCid(bytes: Uint8Array): string {
  return cidText(DAG_CBOR, sha256(bytes));
}

/** The same of bytes whose sha2-256 is known. */
export function cborCidOf(digest: Uint8Array): string {
  return cidText(DAG_CBOR, digest);
}
