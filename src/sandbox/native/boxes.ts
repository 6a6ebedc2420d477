import type { TakeExtras } from '../extras.ts';
import { createHolder } from '../holder.ts';
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
  const hold = createHolder({ uids: createUids({ uidFirst, uidCount }), leftovers, takeExtras });
  let count = 0;

  return async ({ image, limits, direct, extras: needs }) => {
    const components = parts();
    const unpacked = images.unpacked(image);
    const name = `${boot.slice(0, 8)}-${++count}`;
    return hold({
      name,
      needs,
      create(uid, extras) {
        const { socketFolder, diskPath } = extras ?? {};
        const plan = { name, image: unpacked, limits, uid, socketFolder, diskPath };
        return createNativeBox(components, plan, direct ?? 'launcher');
      },
    });
  };
}
