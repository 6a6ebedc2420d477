import type { ConnectionGater, PeerId } from '@libp2p/interface';

/** Refuses banned peers both ways, and keys that are not Ed25519: the wire format knows no others. */
export function createGater(isBanned: (peer: string) => boolean): ConnectionGater {
  const refused = (peer: PeerId): boolean => peer.type !== 'Ed25519' || isBanned(peer.toString());
  return {
    denyDialPeer: refused,
    denyDialMultiaddr: () => false,
    denyInboundEncryptedConnection: refused,
    denyOutboundEncryptedConnection: refused,
  };
}
