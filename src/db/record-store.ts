/** One change to the database, made by a repository and carried out by `Database.write`. */
export type BatchOp =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array };

/** A range of full keys, in byte order. */
export interface KeyRange {
  readonly gt?: Uint8Array;
  readonly gte?: Uint8Array;
  readonly lt: Uint8Array;
  readonly reverse: boolean;
  readonly limit: number;
}

/** What a repository reads from. */
export interface RecordStore {
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]>;
  iterate(range: KeyRange): AsyncIterable<[Uint8Array, Uint8Array]>;
}
