import { CID } from 'multiformats/cid';

const RAW = 0x55;
const SHA2_256 = 0x12;
/** Of every CIDv1 of raw bytes by sha2-256: `bafkrei` and 52 letters. */
const TEXT = /^bafkrei[a-z2-7]{52}$/;

/** True for the one text of a CID that `put` can have answered; nothing else may become a path. */
export function isRawCid(text: string): boolean {
  if (!TEXT.test(text)) return false;
  try {
    const cid = CID.parse(text);
    return cid.code === RAW && cid.multihash.code === SHA2_256 && cid.toString() === text;
  } catch {
    return false;
  }
}
