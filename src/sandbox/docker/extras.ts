import type { HostConfig, MountSettings } from 'dockerode';
import { createExtras, type Extras } from '../extras.ts';
import { SOCKET_FOLDER } from '../launcher/relay.ts';
import type { DockerOptions } from '../options.ts';
import type { ExtraNeeds } from '../task.ts';
import { GpuShelf, gpuConfig } from './gpus.ts';

/** The same with the part of a container's configuration that shows them inside. */
export interface DockerExtras {
  readonly config: Partial<Omit<HostConfig, 'Mounts'>>;
  readonly mounts: readonly MountSettings[];
  /** Once the container is removed. Never rejects. */
  release(): Promise<void>;
}

export type TakeDockerExtras = (needs: ExtraNeeds, uid: number) => Promise<DockerExtras>;

export function createDockerExtras(
  components: Parameters<typeof createExtras>[0],
  { gpus }: Pick<DockerOptions, 'gpus'>,
): TakeDockerExtras {
  const take = createExtras(components);
  const shelf = new GpuShelf(gpus);

  return async (needs, uid) => {
    const extras = await take(needs, uid);
    const mounts = mountsOf(extras);
    let indexes: number[] = [];
    async function release(): Promise<void> {
      shelf.giveBack(indexes.splice(0));
      await extras.release();
    }
    try {
      if (!needs.gpus || !gpus) return { config: {}, mounts, release };
      indexes = shelf.take(needs.gpus.count);
      return { config: await gpuConfig(gpus.vendor, indexes), mounts, release };
    } catch (error) {
      await release();
      throw error;
    }
  };
}

/** As mounts, not as `Binds`: a colon in a path would end it there. */
function mountsOf({ socketFolder, diskPath }: Extras): MountSettings[] {
  const mount = (Source: string, Target: string, ReadOnly: boolean): MountSettings[] => [
    { Type: 'bind', Source, Target, ReadOnly },
  ];
  return [
    ...(socketFolder === undefined ? [] : mount(socketFolder, SOCKET_FOLDER, true)),
    ...(diskPath === undefined ? [] : mount(diskPath, '/task', false)),
  ];
}
