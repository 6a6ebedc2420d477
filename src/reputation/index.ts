export * from './experience.ts';
export * from './score.ts';
