import type { Box } from '../box.ts';
import { refused } from '../errors.ts';
import type { SandboxImage } from '../interface.ts';
import { NoLauncher, stage } from '../launcher/staging.ts';
import type { Opened } from '../prepared.ts';
import type { CheckedTask } from '../task.ts';
import { createUids } from '../uids.ts';
import { type BoxComponents, createNativeBox } from './box.ts';
import type { BoxPlan, BoxProgram } from './command.ts';
import type { NativeImages } from './images.ts';
import type { NativeLeftovers } from './leftovers.ts';

export interface NativeOpenerComponents {
  readonly images: NativeImages;
  readonly leftovers: NativeLeftovers;
  /** Of the machine as it was last looked at. @throws CodedError `SANDBOX_UNAVAILABLE` */
  readonly parts: () => BoxComponents;
}

/** A box that is this owner's, with the way to be rid of it. */
export interface Made {
  readonly box: Box;
  /** Never rejects. */
  readonly release: () => Promise<void>;
}

export interface NativeOpener {
  /** Makes a box that is good for any task of that image and those limits. */
  make(image: SandboxImage, limits: BoxPlan['limits'], program: BoxProgram): Promise<Made>;
  /** A box with its task in it: by the launcher where the image can, directly where the task can do without. */
  open(task: CheckedTask, image: SandboxImage): Promise<Opened>;
}

export function createNativeOpener(
  { images, leftovers, parts }: NativeOpenerComponents,
  {
    boot,
    uidFirst,
    uidCount,
  }: { readonly boot: string; readonly uidFirst: number; readonly uidCount: number },
): NativeOpener {
  const uids = createUids({ uidFirst, uidCount });
  let count = 0;

  async function make(image: SandboxImage, limits: BoxPlan['limits'], program: BoxProgram): Promise<Made> {
    const components = parts();
    const name = `${boot.slice(0, 8)}-${++count}`;
    const uid = uids.take();
    leftovers.hold(name);
    let box: Box | undefined;
    const release = async () => {
      await leftovers.release(name, box);
      uids.giveBack(uid);
    };
    try {
      box = await createNativeBox(components, { name, image: images.unpacked(image), limits, uid }, program);
      return { box, release };
    } catch (error) {
      await release();
      throw error;
    }
  }

  /** On any failure nothing of it stays. */
  async function openWith(task: CheckedTask, image: SandboxImage, program: BoxProgram): Promise<Opened> {
    const { box, release } = await make(image, task.limits, program);
    try {
      await leftovers.assign(box.id, task.key);
      const staged = program === 'launcher' ? await stage(box, task) : undefined;
      return { box, staged, release };
    } catch (error) {
      void release();
      throw error;
    }
  }

  return {
    make,
    async open(task, image) {
      const unpacked = images.unpacked(image);
      if (unpacked.noLauncher === undefined) {
        try {
          return await openWith(task, image, 'launcher');
        } catch (error) {
          if (!(error instanceof NoLauncher)) throw error;
          unpacked.noLauncher = error.type.reason;
        }
      }
      const reason = unpacked.noLauncher;
      if (task.argv.length === 0) throw refused(`Python source needs Python 3 in the image: ${reason}`);
      if (task.inputs.length > 0) throw refused(`input files need Python 3 in the image: ${reason}`);
      return openWith(task, image, { argv: task.argv, cwd: task.cwd, env: task.env });
    },
  };
}
