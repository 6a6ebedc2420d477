import { CodedError } from '../util/index.ts';

export type StorageErrorType =
  | { code: 'STORAGE_FULL'; bytes: number; usedBytes: number; maxBytes: number }
  | { code: 'BLOB_DAMAGED'; cid: string }
  | { code: 'BLOB_NAME'; cid: string }
  | { code: 'BLOB_TOO_LARGE'; maxBytes: number }
  | { code: 'BLOB_CLOSED' };

export class StorageError extends CodedError<StorageErrorType> {}
