export * from './interface.ts';
export { createMarket, type Market, type MarketComponents } from './market.ts';
export { defaultMarketOptions, type MarketOptions } from './options.ts';
