import type { ContainerCreateOptions } from 'dockerode';
import type { Clock } from '../../util/index.ts';
import type { Box } from '../box.ts';
import { imageUnknown } from '../errors.ts';
import type { BoxMaker } from '../opener.ts';
import type { DockerOptions } from '../options.ts';
import { createUids } from '../uids.ts';
import { containerConfig } from './config.ts';
import { createBox } from './container.ts';
import { type Engine, statusOf } from './engine.ts';
import type { DockerExtras, TakeDockerExtras } from './extras.ts';
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

/** Makes containers for boxes: created and attached, not started. On any failure nothing of one stays. */
export function createBoxes(
  { engine, images, leftovers, clock, takeExtras, weaken = config => config }: BoxesComponents,
  {
    owner,
    boot,
    options,
  }: { readonly owner: string; readonly boot: string; readonly options: DockerOptions },
): BoxMaker {
  const uids = createUids(options);
  let count = 0;

  return async ({ image, direct, extras: needs, ...plan }) => {
    const { volumes } = await images.facts(image);
    const uid = uids.take();
    const ownDisk = needs?.diskBytes !== undefined;
    const name = `duxnode-${boot.slice(0, 8)}-${++count}`;
    const labels = { 'duxnode.owner': owner, 'duxnode.boot': boot };
    leftovers.hold(name);
    let box: Box | undefined;
    let extras: DockerExtras | undefined;
    let released: Promise<void> | undefined;
    async function remove(): Promise<void> {
      await leftovers.release(name, box);
      await extras?.release();
      uids.giveBack(uid);
    }
    const release = () => {
      released ??= remove();
      return released;
    };
    try {
      extras = needs && (await takeExtras(needs, uid));
      const config = containerConfig(
        {
          ...plan,
          image: image.digest,
          direct,
          volumes,
          uid,
          labels,
          name,
          extras: extras?.config ?? {},
          ownDisk,
        },
        options,
      );
      box = await createBox({ engine, clock }, weaken(config));
      return { box, release };
    } catch (error) {
      void release();
      if (statusOf(error) !== 404) throw error;
      images.forget(image.digest);
      throw imageUnknown(image.ref, `${image.digest} was removed meanwhile`);
    }
  };
}
