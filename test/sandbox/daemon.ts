import { join } from 'node:path';
import { createDisks, createDockerExecutor, createNativeExecutor } from '../../src/sandbox/index.ts';
import { silentLogger } from '../../src/util/index.ts';
import { keepAliveClock } from './clock.ts';
import { quiet, taskOf } from './conformance.ts';
import type { DaemonSettings } from './killed.ts';

/** A process that starts tasks which never end, says so, and is then killed by its test. */
const settings: DaemonSettings = JSON.parse(process.argv[2] ?? '');
const { runtime, owner, folder, socketPath, imagesDir, diskBytes } = settings;
const disks = createDisks({ logger: silentLogger }, { dir: join(folder, 'disks') });
const components = { logger: silentLogger, clock: keepAliveClock, disks };
const executor =
  runtime === 'docker'
    ? createDockerExecutor(components, { owner, socketPath, inputsDir: join(folder, 'inputs') })
    : createNativeExecutor(components, { owner, imagesDir, stateDir: join(folder, 'state') });
await executor.start();
const image = await executor.ensureImage('python:3.9-slim', {});

async function start(bytes: number, index: number): Promise<void> {
  const task = taskOf('import os\nos.fork()\nwhile True: os.sched_yield()', {
    key: `left/0/${index}`,
    limits: { timeoutMs: 600_000, milliCpus: 50, diskBytes: bytes },
  });
  const prepared = await executor.prepare(task, image, {});
  await new Promise<void>((resolve, reject) => {
    prepared.run(quiet, { onStarted: resolve }).catch(reject);
  });
}

await Promise.all(diskBytes.map(start));
process.stdout.write('running\n');
