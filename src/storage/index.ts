export * from './blob-store.ts';
export * from './raw-cid.ts';
