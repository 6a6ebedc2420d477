/** How far the trail of one notary was read: its number in the committee, and the next entry. */
export interface Cursor {
  readonly source: number;
  readonly at: number;
}
