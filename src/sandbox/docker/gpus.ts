import { stat } from 'node:fs/promises';
import type { HostConfig } from 'dockerode';
import type { Gpus } from '../../wire/index.ts';
import { failed } from '../errors.ts';

/** Why the engine cannot hand over what the operator lends; undefined when it can. */
export function gpusUnusable({ vendor }: Gpus, engineRuntimes: readonly string[]): string | undefined {
  // AMD's are plain device nodes, which any runtime passes on.
  if (vendor === 'amd' || engineRuntimes.includes('nvidia')) return undefined;
  return "the engine has no 'nvidia' runtime: install the NVIDIA container toolkit and restart Docker";
}

/** AMD's compute driver, and the card's own node; the first card is renderD128. */
const KFD = '/dev/kfd';
const renderNode = (index: number) => `/dev/dri/renderD${128 + index}`;

type GpuConfig = Pick<HostConfig, 'DeviceRequests' | 'Devices' | 'GroupAdd'>;

/** What of a container's configuration hands it the GPUs of these numbers, and no others. `groupOf`: who may use a device node. */
export async function gpuConfig(
  vendor: Gpus['vendor'],
  indexes: readonly number[],
  groupOf: (path: string) => Promise<number> = async path => (await stat(path)).gid,
): Promise<GpuConfig> {
  if (vendor !== 'amd')
    return {
      DeviceRequests: [{ Driver: 'nvidia', DeviceIDs: indexes.map(String), Capabilities: [['gpu']] }],
    };
  const paths = [KFD, ...indexes.map(renderNode)];
  const groups = await Promise.all(paths.map(groupOf));
  return {
    Devices: paths.map(path => ({ PathOnHost: path, PathInContainer: path, CgroupPermissions: 'rw' })),
    GroupAdd: [...new Set(groups)].filter(gid => gid !== 0).map(String),
  };
}

/** Which of the lent GPUs are free. A GPU is held by one task at a time: its memory has no walls inside. */
export class GpuShelf {
  readonly #free: number[];

  constructor(lent: Gpus | null) {
    this.#free = Array.from({ length: lent?.count ?? 0 }, (_, index) => index);
  }

  /** @throws CodedError `SANDBOX_FAILED` when others hold them: the market's capacity should have made the task wait. */
  take(count: number): number[] {
    if (count > this.#free.length) throw failed('other tasks hold the GPUs');
    return this.#free.splice(0, count);
  }

  giveBack(indexes: readonly number[]): void {
    this.#free.push(...indexes);
    this.#free.sort((a, b) => a - b);
  }
}
