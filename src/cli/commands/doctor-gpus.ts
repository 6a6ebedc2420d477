import type { Config } from '../../node/index.ts';
import type { Gpus } from '../../wire/index.ts';

/** What is known of GPUs here: what the configuration says, what the machine has, what tasks can have in the end. */
export interface GpuFacts {
  readonly configured: Config['worker']['gpus'];
  readonly found: Gpus | null;
  readonly usable: Gpus | null;
}

const textOf = ({ count, vendor, memoryBytes }: Gpus) =>
  `${count} x ${vendor ?? 'any'}, ${Math.floor(memoryBytes / 2 ** 20)} MiB each`;

/** What `doctor` says of GPUs, and how to mend what is not well. */
export function checkGpus({ configured, found, usable }: GpuFacts): { ok: boolean; detail: string } {
  if (configured === null)
    return {
      ok: true,
      detail: found ? `${textOf(found)}: not lent; worker.gpus: auto lends them` : 'none found, none lent',
    };
  if (usable) {
    const fits = found && found.vendor === usable.vendor && found.count >= usable.count;
    if (fits) return { ok: true, detail: `lends ${textOf(usable)}` };
    const seen = found ? textOf(found) : 'none';
    return {
      ok: false,
      detail: `worker.gpus lends ${textOf(usable)}, but this machine shows ${seen}: correct it, or install the driver`,
    };
  }
  if (configured === 'auto' && !found)
    return { ok: true, detail: 'none found: tasks that ask for one are refused' };
  return {
    ok: false,
    detail:
      'cannot be lent: the engine does not hand them over; install the NVIDIA container toolkit and restart Docker',
  };
}
