import type { ContainerCreateOptions } from 'dockerode';
import type { Clock } from '../../util/index.ts';
import type { Awake } from '../box.ts';
import { imageUnknown } from '../errors.ts';
import type { Handle } from '../handle.ts';
import { createHolder } from '../holder.ts';
import type { BoxMaker } from '../opener.ts';
import type { DockerOptions } from '../options.ts';
import { createUids } from '../uids.ts';
import { containerConfig } from './config.ts';
import { createBox, reopenBox } from './container.ts';
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

export interface Boxes {
  /** Created and attached, not started. On any failure nothing of it stays. */
  readonly make: BoxMaker;
  /** One that an earlier run of this owner started, with all that it said. On any failure it is nobody's. */
  takeUp(handle: Handle): Promise<Awake>;
}

/** Makes containers for boxes. */
export function createBoxes(
  { engine, images, leftovers, clock, takeExtras, weaken = config => config }: BoxesComponents,
  {
    owner,
    boot,
    options,
  }: { readonly owner: string; readonly boot: string; readonly options: DockerOptions },
): Boxes {
  const hold = createHolder({ uids: createUids(options), leftovers, takeExtras });
  let count = 0;

  const make: BoxMaker = async ({ image, direct, extras: needs, ...plan }) => {
    const { volumes } = await images.facts(image);
    const name = `duxnode-${boot.slice(0, 8)}-${++count}`;
    const labels = { 'duxnode.owner': owner, 'duxnode.boot': boot };
    const ownDisk = needs?.diskBytes !== undefined;
    const fixed = { ...plan, image: image.digest, direct, volumes, labels, name, ownDisk };
    let lasting: Awake['lasting'];
    const awake = await hold({
      name,
      needs,
      async create(uid, extras) {
        if (plan.lasting) lasting = { name, uid };
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
    return { ...awake, lasting };
  };

  return {
    make,
    takeUp: ({ id, name, uid }) =>
      hold({ name, uid, needs: undefined, create: () => reopenBox({ engine, clock }, id) }),
  };
}
