import type { Box } from '../box.ts';
import type { Extras, TakeExtras } from '../extras.ts';
import type { BoxMaker } from '../opener.ts';
import { createUids } from '../uids.ts';
import { type BoxComponents, createNativeBox } from './box.ts';
import type { NativeImages } from './images.ts';
import type { NativeLeftovers } from './leftovers.ts';

export interface NativeBoxesComponents {
  readonly images: NativeImages;
  readonly leftovers: NativeLeftovers;
  /** Of the machine as it was last looked at. @throws CodedError `SANDBOX_UNAVAILABLE` */
  readonly parts: () => BoxComponents;
  readonly takeExtras: TakeExtras;
}

/** Makes native boxes: control group and mounts are prepared, nothing is started. On any failure nothing of one stays. */
export function createNativeBoxes(
  { images, leftovers, parts, takeExtras }: NativeBoxesComponents,
  {
    boot,
    uidFirst,
    uidCount,
  }: { readonly boot: string; readonly uidFirst: number; readonly uidCount: number },
): BoxMaker {
  const uids = createUids({ uidFirst, uidCount });
  let count = 0;

  return async ({ image, limits, direct, extras: needs }) => {
    const components = parts();
    const unpacked = images.unpacked(image);
    const name = `${boot.slice(0, 8)}-${++count}`;
    const uid = uids.take();
    leftovers.hold(name);
    let box: Box | undefined;
    let extras: Extras | undefined;
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
      const { socketFolder, diskPath } = extras ?? {};
      const plan = { name, image: unpacked, limits, uid, socketFolder, diskPath };
      box = await createNativeBox(components, plan, direct ?? 'launcher');
      return { box, release };
    } catch (error) {
      await release();
      throw error;
    }
  };
}
