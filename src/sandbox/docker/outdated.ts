import type { BroughtImage } from '../interface.ts';

export interface ImageLimits {
  /** Wall-clock milliseconds. */
  readonly now: number;
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}

/** Between the look at an image and the container that holds it; the market gives that a minute. */
const IN_USE_MS = 60_000;
/** Each is a record in memory and on disk. */
const MAX_IMAGES = 1000;

/** What goes, the longest unused first: what nobody used for too long, and of the others what is more than fits. */
export function outdatedImages<T extends Pick<BroughtImage, 'usedAt' | 'sizeBytes'>>(
  images: readonly T[],
  { now, maxAgeMs, maxBytes }: ImageLimits,
): T[] {
  let bytes = 0;
  const kept = new Set<T>();
  for (const image of [...images].sort((a, b) => b.usedAt - a.usedAt)) {
    const unusedMs = now - image.usedAt;
    const fits = bytes + image.sizeBytes <= maxBytes && kept.size < MAX_IMAGES && unusedMs <= maxAgeMs;
    if (unusedMs > IN_USE_MS && !fits) continue;
    bytes += image.sizeBytes;
    kept.add(image);
  }
  return images.filter(image => !kept.has(image)).sort((a, b) => a.usedAt - b.usedAt);
}
