import './polyfill.ts';

export { peerOfAddress } from './dial.ts';
export { NetworkError, type NetworkErrorType } from './errors.ts';
export { type FetchedGenesis, fetchGenesis } from './genesis-exchange.ts';
export { createIdentity, type Identity } from './identity.ts';
export {
  isIdentitySealed,
  type LoadedIdentity,
  loadIdentity,
  loadOrCreateIdentity,
  type Passphrase,
  replaceIdentity,
  writeSealedKey,
} from './identity-file.ts';
export type {
  MessageStream,
  Network,
  NetworkEvents,
  Peer,
  PeerInfo,
  ProtocolLimits,
  Verdict,
} from './interface.ts';
export type { RecordRules, TransportKind } from './libp2p.ts';
export { createNetwork, type NetworkComponents, type NetworkInit } from './network.ts';
