import { CodedError, messageOf } from '../util/index.ts';

export type NetworkErrorType =
  | { code: 'PEER_UNREACHABLE'; peer: string }
  | { code: 'PROTOCOL_UNSUPPORTED'; peer: string; protocol: string }
  | { code: 'MESSAGE_TOO_LARGE'; maxBytes: number; bytes?: number }
  | { code: 'STREAM_BROKEN'; peer: string }
  | { code: 'RATE_LIMITED'; peer: string }
  | { code: 'REMOTE'; peer: string; remoteCode: string; message: string }
  | { code: 'ADDRESS_INVALID'; address: string }
  | { code: 'NETWORK_STOPPED' }
  | { code: 'GENESIS_UNAVAILABLE'; addresses: readonly string[] }
  | { code: 'IDENTITY_UNREADABLE'; file: string }
  | { code: 'PASSPHRASE_REQUIRED'; file: string }
  | { code: 'PASSPHRASE_WRONG'; file: string };

export class NetworkError extends CodedError<NetworkErrorType> {}

export function tooLarge(maxBytes: number, bytes?: number): NetworkError {
  const size = bytes === undefined ? '' : ` of ${bytes} bytes`;
  return new NetworkError(
    { code: 'MESSAGE_TOO_LARGE', maxBytes, ...(bytes === undefined ? {} : { bytes }) },
    `a message${size} is above the limit of ${maxBytes} bytes`,
  );
}

export function broken(peer: string, cause?: unknown): NetworkError {
  const why = cause === undefined ? 'the other side closed it' : messageOf(cause);
  return new NetworkError({ code: 'STREAM_BROKEN', peer }, `the stream to ${peer} broke: ${why}`, { cause });
}

export function stopped(): NetworkError {
  return new NetworkError({ code: 'NETWORK_STOPPED' }, 'the network is not running');
}

/** A failed dial or negotiation as one of our codes; coded errors (deadlines, the caller's abort) pass. */
export function openError(error: unknown, peer: string, protocol: string): Error {
  if (error instanceof CodedError) return error;
  if (error instanceof Error && error.name === 'UnsupportedProtocolError')
    return new NetworkError(
      { code: 'PROTOCOL_UNSUPPORTED', peer, protocol },
      `${peer} does not speak ${protocol}`,
      { cause: error },
    );
  return new NetworkError(
    { code: 'PEER_UNREACHABLE', peer },
    `${peer} cannot be reached: ${messageOf(error)}`,
    { cause: error },
  );
}
