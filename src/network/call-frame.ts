import { CodedError, codeOf, messageOf } from '../util/index.ts';
import { decodeCanonical, encodeCbor } from '../wire/index.ts';
import { NetworkError } from './errors.ts';

/**
 * A frame of a call's stream: one byte of kind, the request's number (32 bits, big-endian), then the payload. `fatal` has the number
 * 0, the payload of an error, and is the last frame.
 */
export const FRAME_KIND = { request: 0, answer: 1, error: 2, fatal: 3 } as const;

export const HEADER_BYTES = 5;
const MAX_ERROR_BYTES = 1024;
const MAX_MESSAGE_CHARS = 300;
const CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

export interface CallFrame {
  readonly kind: number;
  readonly id: number;
  readonly payload: Uint8Array;
}

export function encodeFrame(kind: number, id: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  frame[0] = kind;
  new DataView(frame.buffer).setUint32(1, id);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

/** Undefined for what is no frame. */
export function decodeFrame(bytes: Uint8Array): CallFrame | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const id = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  return { kind: bytes[0] ?? 0, id, payload: bytes.subarray(HEADER_BYTES) };
}

/** Coded errors travel with their sentence; of others the text stays here, since it may tell of this machine. */
export function encodeError(error: unknown): Uint8Array {
  const code = codeOf(error);
  const message =
    error instanceof CodedError
      ? messageOf(error).slice(0, MAX_MESSAGE_CHARS)
      : 'the request failed on the other side';
  return encodeCbor({ code: CODE.test(code) ? code : 'INTERNAL', message });
}

/** The other side's error as `REMOTE`; its text is cut and its code checked, since both reach logs and users. */
export function decodeError(payload: Uint8Array, peer: string): NetworkError {
  const { code, message } = errorFields(payload);
  return new NetworkError(
    { code: 'REMOTE', peer, remoteCode: code, message },
    `${peer} answered ${code}: ${message}`,
  );
}

function errorFields(payload: Uint8Array): { code: string; message: string } {
  const unknown = { code: 'INTERNAL', message: 'an error that could not be read' };
  let value: unknown;
  try {
    value = decodeCanonical(payload, MAX_ERROR_BYTES, 'error of a call');
  } catch {
    return unknown;
  }
  if (typeof value !== 'object' || value === null || !('code' in value) || !('message' in value))
    return unknown;
  const { code, message } = value;
  if (typeof code !== 'string' || !CODE.test(code) || typeof message !== 'string') return unknown;
  return { code, message: printable(message.slice(0, MAX_MESSAGE_CHARS)) };
}

/** Without control characters: they could rewrite a terminal's lines. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ');
}
