export * from './attest.ts';
export * from './check.ts';
export * from './failure-share.ts';
export * from './receipt.ts';
export * from './result-schema.ts';
