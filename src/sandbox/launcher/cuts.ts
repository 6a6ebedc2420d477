import { failed } from '../errors.ts';

/** Digits of half a byte are left for the next time. @throws CodedError `SANDBOX_FAILED` for what are none. */
export function fromHex(digits: Buffer): { bytes: Buffer; rest: Buffer } {
  const end = digits.length - (digits.length % 2);
  const bytes = Buffer.from(digits.toString('latin1', 0, end), 'hex');
  if (bytes.length * 2 < end) throw failed('the sandbox hands over files in another form than agreed');
  return { bytes, rest: digits.subarray(end) };
}

/** What comes before the mark, and after it; without a mark, what cannot be the beginning of one. */
export function splitAtMark(bytes: Buffer, mark: Buffer): { own: Buffer; rest: Buffer; found: boolean } {
  const at = bytes.indexOf(mark);
  if (at >= 0) return { own: bytes.subarray(0, at), rest: bytes.subarray(at + mark.length), found: true };
  const end = bytes.length - possibleMark(bytes, mark);
  return { own: bytes.subarray(0, end), rest: bytes.subarray(end), found: false };
}

/** How many of the last bytes of `bytes` may be the beginning of `mark`. */
function possibleMark(bytes: Buffer, mark: Buffer): number {
  for (let kept = Math.min(bytes.length, mark.length - 1); kept > 0; kept--)
    if (bytes.subarray(bytes.length - kept).equals(mark.subarray(0, kept))) return kept;
  return 0;
}
