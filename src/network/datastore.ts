import { mkdir } from 'node:fs/promises';
import { MemoryDatastore } from 'datastore-core/memory';
import { LevelDatastore } from 'datastore-level';
import type { Datastore, Key } from 'interface-datastore';
import { tooLarge } from './errors.ts';
import { MAX_RECORD_BYTES, MAX_RECORD_KEY_BYTES, MAX_RECORDS } from './options.ts';

/** Where kad-dht keeps what others gave it: values and providers. */
export const DHT_PREFIX = '/dht/';

export interface NodeDatastore {
  readonly store: Datastore;
  close(): Promise<void>;
}

/**
 * libp2p's datastore: Level in `dir`, or memory when that is null. kad-dht has no limit on the size or number of the records it takes, so
 * the store has: larger ones are refused, and above the number the oldest goes. Records of an earlier run count as oldest.
 */
export async function openDatastore(dir: string | null): Promise<NodeDatastore> {
  if (dir === null) return { store: await boundRecords(new MemoryDatastore()), close: async () => undefined };
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const level = new LevelDatastore(dir);
  await level.open();
  return { store: await boundRecords(level), close: () => level.close() };
}

async function boundRecords<T extends Datastore>(store: T): Promise<T> {
  /** In the order of their first put. */
  const held = new Map<string, Key>();
  const put = store.put.bind(store);
  const drop = async (name: string, key: Key): Promise<void> => {
    held.delete(name);
    await store.delete(key);
  };
  const hold = async (key: Key): Promise<void> => {
    held.set(key.toString(), key);
    for (const [name, oldest] of held) if (held.size > MAX_RECORDS) await drop(name, oldest);
  };

  for await (const key of store.queryKeys({ prefix: DHT_PREFIX })) await hold(key);
  store.put = async (key, value, options) => {
    const name = key.toString();
    if (name.startsWith(DHT_PREFIX)) {
      if (value.length > MAX_RECORD_BYTES) throw tooLarge(MAX_RECORD_BYTES, value.length);
      if (name.length > MAX_RECORD_KEY_BYTES) throw tooLarge(MAX_RECORD_KEY_BYTES, name.length);
      await hold(key);
    }
    return put(key, value, options);
  };
  return store;
}
