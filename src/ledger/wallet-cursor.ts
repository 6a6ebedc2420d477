/** How far the trail of one notary was read: the next entry. */
export interface Cursor {
  readonly peer: string;
  readonly at: number;
}

/** Where a trail goes on is not known: it is not read. */
export const UNREAD = Number.MAX_SAFE_INTEGER;
