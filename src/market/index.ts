export { sizeOf } from './elements.ts';
export * from './interface.ts';
export { type Lending, parseHours } from './lending.ts';
export { createMarket, type Market, type MarketComponents } from './market.ts';
export {
  defaultMarketOptions,
  defaultWindows,
  MAX_SECOND_VALUE,
  MAX_TIMEOUT_MS,
  type MarketOptions,
} from './options.ts';
export { runFailure } from './run-failure.ts';
export { type Choice, costParts, startsInMs } from './score.ts';
