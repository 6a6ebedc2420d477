export * from './attest.ts';
export * from './check.ts';
export * from './failure-share.ts';
export * from './receipt.ts';
export * from './reruns.ts';
export * from './result-schema.ts';
