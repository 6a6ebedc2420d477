import { join, resolve } from 'node:path';
import { type Lending, parseHours } from '../market/index.ts';
import {
  createDisks,
  createEgress,
  type Disks,
  detectGpus,
  type Egress,
  type EgressComponents,
} from '../sandbox/index.ts';
import type { Logger } from '../util/index.ts';
import type { Gpus } from '../wire/index.ts';
import type { Config } from './options.ts';

const MIB = 2 ** 20;

/** The way out for tasks, where the operator lets them out at all. Its sockets are in the data directory, which others may not enter. */
export function egressOf(
  { worker }: Config,
  dataDir: string,
  components: EgressComponents,
): Egress | undefined {
  const { allowed_hosts: allowedHosts } = worker;
  if (allowedHosts.length === 0) return undefined;
  return createEgress(components, { dir: join(resolve(dataDir), 'egress'), allowedHosts });
}

/** Disks for tasks that ask for more than memory should hold, where this machine lets it be. */
export function disksOf(dataDir: string, components: { readonly logger: Logger }): Disks {
  return createDisks(components, { dir: join(resolve(dataDir), 'disks') });
}

/** The GPUs that tasks may have. */
export async function gpusOf({ worker: { enabled, gpus } }: Config): Promise<Gpus | null> {
  if (!enabled || gpus === null) return null;
  if (gpus === 'auto') return detectGpus();
  const { count, vendor, memory_mb: memoryMb } = gpus;
  return { count, vendor, memoryBytes: memoryMb * MIB };
}

/** When others' tasks are taken; the schema has refused hours that cannot be read. */
export function lendingOf({ hours, pause_load: maxLoad }: Config['worker']): Lending {
  return { hours: hours?.flatMap(text => parseHours(text) ?? []) ?? null, maxLoad };
}
