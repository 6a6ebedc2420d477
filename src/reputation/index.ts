export * from './experience.ts';
export * from './score.ts';
export * from './shares.ts';
