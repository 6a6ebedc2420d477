import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../../util/index.ts';

/** Whether tasks can have disks of their own here, tried out in a folder apart: a daemon may be using its own. */
export async function checkDisks(): Promise<{ ok: boolean; detail: string }> {
  const { createDisks } = await import('../../sandbox/index.ts');
  const folder = await mkdtemp(join(tmpdir(), 'duxnode-doctor-'));
  const disks = createDisks({ logger: silentLogger }, { dir: join(folder, 'disks') });
  try {
    await disks.start();
    const { reason } = disks;
    // no failure: most tasks want no more than memory holds
    const detail =
      reason === null ? 'an ext4 image can be mounted' : `none (${reason}): disks of tasks are memory`;
    return { ok: true, detail };
  } finally {
    await disks.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
