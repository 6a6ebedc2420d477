import { sha256 } from '../wire/index.ts';
import type { Share } from './capacity.ts';
import { ANSWERS_WANTED, LARGE_MEMORY_BYTES } from './options.ts';

/** What a task needs most, and so among whom workers are looked for. */
export const workerClasses = ['cpu', 'mem', 'gpu'] as const;
export type WorkerClass = (typeof workerClasses)[number];

export function classOf({ memoryBytes, gpus }: Pick<Share, 'memoryBytes' | 'gpus'>): WorkerClass {
  if (gpus) return 'gpu';
  return memoryBytes >= LARGE_MEMORY_BYTES ? 'mem' : 'cpu';
}

/** The classes that a worker belongs to, by what it lends. */
export function classesOf(total: Pick<Share, 'memoryBytes' | 'gpus'>): WorkerClass[] {
  return workerClasses.filter(
    name =>
      name === 'cpu' ||
      (name === 'mem' && total.memoryBytes >= LARGE_MEMORY_BYTES) ||
      (name === 'gpu' && (total.gpus?.count ?? 0) > 0),
  );
}

/** The shard of a class in which a worker listens. */
export function shardOfWorker(name: WorkerClass, bits: number, peer: string): number {
  return prefix(sha256(Buffer.from(name), Buffer.from(peer)), bits);
}

/** The one shard in which an attempt of a task may be offered: a validator rejects it in any other. */
export function shardOfTask(taskId: string, attempt: number, bits: number): number {
  return prefix(sha256(Buffer.from(taskId), Buffer.from([attempt])), bits);
}

export function shardTopic(name: WorkerClass, bits: number, shard: number): string {
  return `offer/${name}/${bits}/${shard}`;
}

/** The first bits of a hash, as a number. */
function prefix(hash: Uint8Array, bits: number): number {
  return bits === 0 ? 0 : Buffer.from(hash).readUInt32BE() >>> (32 - bits);
}

/** How likely a worker answers in a shard of so many: about 16 do. */
export function answerChance(shardSize: number): number {
  return Math.min(1, ANSWERS_WANTED / Math.max(1, shardSize));
}
