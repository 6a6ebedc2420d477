/** Which rule of choice a statement falls under. */
export const VALUE_KINDS = [
  'order',
  'grant',
  'redeem',
  'revoke',
  'removal',
  'skip',
  'committee',
  'accept',
  'mutual',
  'cancel',
  'verified',
  'verdict',
  'claim',
  'dispute',
  'timeout',
] as const;

export type ValueKind = (typeof VALUE_KINDS)[number];
