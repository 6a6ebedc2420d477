/** How far the trail of one notary was read: the next entry. */
export interface Cursor {
  readonly peer: string;
  readonly at: number;
}
