/** Which rule of choice a statement falls under. */
export type ValueKind =
  | 'order'
  | 'grant'
  | 'skip'
  | 'committee'
  | 'accept'
  | 'mutual'
  | 'cancel'
  | 'verified'
  | 'verdict'
  | 'claim'
  | 'dispute'
  | 'timeout';
