import type { ContainerCreateOptions } from 'dockerode';
import type { Clock } from '../../util/index.ts';
import { imageUnknown } from '../errors.ts';
import { createHolder } from '../holder.ts';
import type { BoxMaker } from '../opener.ts';
import type { DockerOptions } from '../options.ts';
import { createUids } from '../uids.ts';
import { containerConfig } from './config.ts';
import { createBox } from './container.ts';
import { type Engine, statusOf } from './engine.ts';
import type { TakeDockerExtras } from './extras.ts';
import type { Images } from './images.ts';
import type { Leftovers } from './leftovers.ts';

export interface BoxesComponents {
  readonly engine: Engine;
  readonly images: Images;
  readonly leftovers: Leftovers;
  readonly clock: Clock;
  readonly weaken?: Weakening | undefined;
  readonly takeExtras: TakeDockerExtras;
}

/** The configuration of a container with some protection taken out of it. */
export type Weakening = (config: ContainerCreateOptions) => ContainerCreateOptions;

const NO_EXTRAS = { config: {}, mounts: [] };

/** Makes containers for boxes: created and attached, not started. On any failure nothing of one stays. */
export function createBoxes(
  { engine, images, leftovers, clock, takeExtras, weaken = config => config }: BoxesComponents,
  {
    owner,
    boot,
    options,
  }: { readonly owner: string; readonly boot: string; readonly options: DockerOptions },
): BoxMaker {
  const hold = createHolder({ uids: createUids(options), leftovers, takeExtras });
  let count = 0;

  return async ({ image, direct, extras: needs, ...plan }) => {
    const { volumes } = await images.facts(image);
    const name = `duxnode-${boot.slice(0, 8)}-${++count}`;
    const labels = { 'duxnode.owner': owner, 'duxnode.boot': boot };
    const ownDisk = needs?.diskBytes !== undefined;
    const fixed = { ...plan, image: image.digest, direct, volumes, labels, name, ownDisk };
    return hold({
      name,
      needs,
      async create(uid, extras) {
        const config = containerConfig({ ...fixed, uid, extras: extras ?? NO_EXTRAS }, options);
        try {
          return await createBox({ engine, clock }, weaken(config));
        } catch (error) {
          if (statusOf(error) !== 404) throw error;
          images.forget(image.digest);
          throw imageUnknown(image.ref, `${image.digest} was removed meanwhile`);
        }
      },
    });
  };
}
