export * from './abort.ts';
export * from './bounded.ts';
export * from './clock.ts';
export * from './deferred.ts';
export * from './errors.ts';
export * from './events.ts';
export * from './logger.ts';
export * from './metrics.ts';
