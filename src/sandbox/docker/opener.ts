import { randomInt } from 'node:crypto';
import type { Clock } from '../../util/index.ts';
import type { Box } from '../box.ts';
import { imageUnknown, refused } from '../errors.ts';
import type { SandboxImage } from '../interface.ts';
import { NoLauncher, stage } from '../launcher/staging.ts';
import type { DockerOptions } from '../options.ts';
import type { Opened } from '../prepared.ts';
import type { CheckedTask } from '../task.ts';
import { containerConfig, type StartMode } from './config.ts';
import { createBox } from './container.ts';
import { type Engine, statusOf } from './engine.ts';
import type { Images } from './images.ts';
import type { Leftovers } from './leftovers.ts';

export interface OpenerComponents {
  readonly engine: Engine;
  readonly images: Images;
  readonly leftovers: Leftovers;
  readonly clock: Clock;
}

/** Opens a container for a task: by the launcher where the image can, directly where the task can do without. */
export type Opener = (task: CheckedTask, image: SandboxImage) => Promise<Opened>;

export function createOpener(
  { engine, images, leftovers, clock }: OpenerComponents,
  {
    owner,
    boot,
    options,
  }: { readonly owner: string; readonly boot: string; readonly options: DockerOptions },
): Opener {
  const uids = createUids(options);
  let count = 0;

  /** On any failure nothing of it stays. */
  async function open(task: CheckedTask, image: SandboxImage, mode: StartMode): Promise<Opened> {
    const { volumes } = await images.facts(image);
    const uid = uids.take();
    const name = `duxnode-${boot.slice(0, 8)}-${++count}`;
    const labels = { 'duxnode.owner': owner, 'duxnode.boot': boot, 'duxnode.task': task.key };
    const plan = { task, image: image.digest, volumes, mode, uid, labels, name };
    leftovers.hold(name);
    let box: Box | undefined;
    const release = async () => {
      await leftovers.release(name, box);
      uids.giveBack(uid);
    };
    try {
      box = await createBox({ engine, clock }, containerConfig(plan, options));
      const staged = mode === 'launcher' ? await stage(box, task) : undefined;
      return { box, staged, release };
    } catch (error) {
      void release();
      if (!box && statusOf(error) === 404)
        throw imageUnknown(image.ref, `${image.digest} was removed meanwhile`);
      throw error;
    }
  }

  return async (task, image) => {
    let { noLauncher: reason } = await images.facts(image);
    if (reason === undefined) {
      try {
        return await open(task, image, 'launcher');
      } catch (error) {
        if (!(error instanceof NoLauncher)) throw error;
        reason = error.type.reason;
        images.withoutLauncher(image.digest, reason);
      }
    }
    if (task.argv.length === 0) throw refused(`Python source needs Python 3 in the image: ${reason}`);
    if (task.inputs.length > 0) throw refused(`input files need Python 3 in the image: ${reason}`);
    return open(task, image, 'direct');
  };
}

/** User ids for containers: random, so that the daemons of one machine need not agree, and never two at once. */
function createUids({ uidFirst, uidCount }: DockerOptions) {
  const taken = new Set<number>();
  return {
    take(): number {
      let uid = uidFirst + randomInt(uidCount);
      while (taken.has(uid)) uid = uidFirst + randomInt(uidCount);
      taken.add(uid);
      return uid;
    },
    giveBack(uid: number): void {
      taken.delete(uid);
    },
  };
}
