import { join } from 'node:path';
import { createDisks, createDockerExecutor, createNativeExecutor } from '../../src/sandbox/index.ts';
import { silentLogger } from '../../src/util/index.ts';
import { keepAliveClock } from './clock.ts';
import { quiet, taskOf } from './conformance.ts';
import type { DaemonSettings } from './killed.ts';

/** A process that starts tasks, says by what they are found again, and is then killed by its test. */
const settings: DaemonSettings = JSON.parse(process.argv[2] ?? '');
const { runtime, owner, folder, socketPath, imagesDir, tasks } = settings;
const disks = createDisks({ logger: silentLogger }, { dir: join(folder, 'disks') });
const components = { logger: silentLogger, clock: keepAliveClock, disks };
const executor =
  runtime === 'docker'
    ? createDockerExecutor(components, { owner, socketPath, inputsDir: join(folder, 'inputs') })
    : createNativeExecutor(components, { owner, imagesDir, stateDir: join(folder, 'state') });
await executor.start();
const image = await executor.ensureImage('python:3.9-slim', {});

const prepared = await Promise.all(
  tasks.map(({ code, ...rest }, i) =>
    executor.prepare(taskOf(code, { ...rest, key: `left/0/${i}` }), image, {}),
  ),
);
await Promise.all(
  prepared.map(
    ({ run }) =>
      new Promise<void>((resolve, reject) => {
        run(quiet, { onStarted: resolve }).catch(reject);
      }),
  ),
);
process.stdout.write(JSON.stringify(prepared.map(({ handle }) => handle)));
