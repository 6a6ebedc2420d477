/** Deeper than any message: the deepest, a record of a task, has 6 levels. The decoder recurses, so its stack needs a bound. */
const MAX_DEPTH = 32;

/**
 * What the heads of an item tell. `plain`: it is in canonical encoding. `unsure`: only encoding it again can tell; of what we send, text
 * that is not ASCII is so.
 */
export type Shape = 'malformed' | 'complex' | 'unsure' | 'plain';

interface Span {
  readonly from: number;
  readonly to: number;
}

/** An array, map or tag whose items are being read. */
interface Container {
  readonly isMap: boolean;
  /** Items that it still wants; a map's keys and values count by themselves. */
  wanted: number;
  lastKey?: Span;
}

const UNDERSCORE = 0x5f;

/**
 * Walks over the heads of one CBOR item (RFC 8949, section 3) without building anything: what is too deep or has too
 * many parts is refused before it costs more than its bytes. Canonical is dag-cbor: shortest heads, keys by length and then by bytes, each once.
 */
export function shapeOf(bytes: Uint8Array, maxItems: number): Shape {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const open: Container[] = [{ isMap: false, wanted: 1 }];
  let isPlain = true;
  let at = 0;
  for (let items = 0; open.length > 0; ) {
    const inner = open[open.length - 1]!;
    if (inner.wanted === 0) {
      open.pop();
      continue;
    }
    inner.wanted--;
    if (++items > maxItems || open.length > MAX_DEPTH) return 'complex';
    const head = readHead(view, at);
    if (!head) return 'malformed';
    const { major, value, end: from } = head;
    at = major === 2 || major === 3 ? from + value : from;
    if (at > bytes.length) return 'malformed';
    isPlain &&= head.isShortest && isPlainItem(bytes, major, value, { from, to: at });
    if (isPlain && inner.isMap && inner.wanted % 2 === 1) {
      const key = { from, to: at };
      isPlain = major === 3 && isNextKey(bytes, key, inner.lastKey);
      inner.lastKey = key;
    }
    if (major === 4) open.push({ isMap: false, wanted: value });
    else if (major === 5) open.push({ isMap: true, wanted: 2 * value });
    else if (major === 6) open.push({ isMap: false, wanted: 1 });
  }
  if (at !== bytes.length) return 'malformed';
  return isPlain ? 'plain' : 'unsure';
}

/** Not tags, floats, undefined, and text that might not be UTF-8. */
function isPlainItem(bytes: Uint8Array, major: number, value: number, { from, to }: Span): boolean {
  if (major === 6) return false;
  if (major === 7) return value >= 20 && value <= 22;
  if (major === 3) for (let i = from; i < to; i++) if (bytes[i]! > 0x7f) return false;
  return true;
}

/** Never `__proto__`, which no object keeps. */
function isNextKey(bytes: Uint8Array, key: Span, last: Span | undefined): boolean {
  if (bytes[key.from] === UNDERSCORE) return false;
  if (!last) return true;
  const length = key.to - key.from;
  const longer = length - (last.to - last.from);
  if (longer !== 0) return longer > 0;
  for (let i = 0; i < length; i++) {
    const greater = bytes[key.from + i]! - bytes[last.from + i]!;
    if (greater !== 0) return greater > 0;
  }
  return false;
}

interface Head {
  readonly major: number;
  readonly value: number;
  readonly isShortest: boolean;
  readonly end: number;
}

/** The least value that wants an argument of so many bytes. */
const LEAST: Readonly<Record<number, number>> = { 1: 24, 2: 2 ** 8, 4: 2 ** 16, 8: 2 ** 32 };

/** Undefined past the end, and for the indefinite lengths that dag-cbor does not have. */
function readHead(view: DataView, at: number): Head | undefined {
  if (at >= view.byteLength) return undefined;
  const first = view.getUint8(at);
  const major = first >> 5;
  const short = first & 31;
  if (short < 24) return { major, value: short, isShortest: true, end: at + 1 };
  if (short > 27) return undefined;
  const width = 1 << (short - 24);
  const end = at + 1 + width;
  if (end > view.byteLength) return undefined;
  const value = readUint(view, at + 1, width);
  return { major, value, isShortest: value >= LEAST[width]!, end };
}

/** Above 2^53 it is imprecise, and too long for any message in either case. */
function readUint(view: DataView, at: number, width: number): number {
  if (width === 1) return view.getUint8(at);
  if (width === 2) return view.getUint16(at);
  if (width === 4) return view.getUint32(at);
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}
