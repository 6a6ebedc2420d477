export * from './blob-store.ts';
export type { BlobFacts, BlobWriter } from './blob-writer.ts';
export * from './errors.ts';
export * from './raw-cid.ts';
