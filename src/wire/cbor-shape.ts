/** Deeper than any message: the deepest, a record of a task, has 6 levels. The decoder recurses, so its stack needs a bound. */
const MAX_DEPTH = 32;

export type ShapeFault = 'malformed' | 'complex';

/**
 * Walks over the heads of one CBOR item (RFC 8949, section 3) without building anything: what is too deep or has too
 * many parts is refused before it costs more than its bytes. Undefined when `bytes` hold exactly one item within the bounds.
 */
export function shapeFault(bytes: Uint8Array, maxItems: number): ShapeFault | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** How many items each open array, map or tag still wants. */
  const wanted = [1];
  let at = 0;
  for (let items = 0; wanted.length > 0; ) {
    const open = wanted.length - 1;
    if (wanted[open] === 0) {
      wanted.pop();
      continue;
    }
    wanted[open] = (wanted[open] as number) - 1;
    if (++items > maxItems || wanted.length > MAX_DEPTH) return 'complex';
    const head = readHead(view, at);
    if (!head) return 'malformed';
    at = head.end;
    if (head.major === 2 || head.major === 3) at += head.value;
    else if (head.major === 4) wanted.push(head.value);
    else if (head.major === 5) wanted.push(2 * head.value);
    else if (head.major === 6) wanted.push(1);
    if (at > bytes.length) return 'malformed';
  }
  return at === bytes.length ? undefined : 'malformed';
}

/** Undefined past the end, and for the indefinite lengths that dag-cbor does not have. */
function readHead(view: DataView, at: number): { major: number; value: number; end: number } | undefined {
  if (at >= view.byteLength) return undefined;
  const first = view.getUint8(at);
  const major = first >> 5;
  const short = first & 31;
  if (short < 24) return { major, value: short, end: at + 1 };
  if (short > 27) return undefined;
  const width = 1 << (short - 24);
  const end = at + 1 + width;
  if (end > view.byteLength) return undefined;
  return { major, value: readUint(view, at + 1, width), end };
}

/** Above 2^53 it is imprecise, and too long for any message in either case. */
function readUint(view: DataView, at: number, width: number): number {
  if (width === 1) return view.getUint8(at);
  if (width === 2) return view.getUint16(at);
  if (width === 4) return view.getUint32(at);
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}
