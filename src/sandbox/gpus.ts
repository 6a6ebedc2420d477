import type { Gpus } from '../wire/index.ts';

/** Why what is lent does not do for what is asked; undefined when it does. */
export function gpusLacking(asked: Gpus, lent: Gpus | null): string | undefined {
  if (!lent) return 'lends no GPU';
  if (asked.vendor && asked.vendor !== lent.vendor) return `has no ${asked.vendor} GPU`;
  if (asked.count > lent.count) return `lends ${lent.count} GPUs`;
  if (asked.memoryBytes > lent.memoryBytes)
    return `its GPUs have ${Math.floor(lent.memoryBytes / 2 ** 20)} MiB each`;
  return undefined;
}
