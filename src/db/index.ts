export { BUCKETS, type Bucket } from './buckets.ts';
export { bytesCodec, type Codec, cborCodec } from './codec.ts';
export { openDatabase } from './database.ts';
export { DatabaseError, type DatabaseErrorType } from './errors.ts';
export type { Database, DatabaseComponents, DatabaseInit, WriteOptions } from './interface.ts';
export type { BatchOp } from './record-store.ts';
export { type IterateOptions, Repository } from './repository.ts';
export { DATABASE_VERSION } from './version.ts';
