import { createNativeExecutor } from '../../src/sandbox/index.ts';
import { silentLogger } from '../../src/util/index.ts';
import { keepAliveClock } from '../sandbox/clock.ts';
import { quiet, taskOf } from '../sandbox/conformance.ts';

/** A process that starts tasks which never end, says so, and is then killed by its test. */
const [owner = '', stateDir = '', imagesDir = '', count = '1'] = process.argv.slice(2);
const executor = createNativeExecutor(
  { logger: silentLogger, clock: keepAliveClock },
  { owner, stateDir, imagesDir },
);
await executor.start();
const image = await executor.ensureImage('python:3.9-slim', {});
for (let i = 0; i < Number(count); i++) {
  const task = taskOf('import os\nos.fork()\nwhile True: os.sched_yield()', {
    key: `left/0/${i}`,
    limits: { timeoutMs: 600_000, milliCpus: 50 },
  });
  const prepared = await executor.prepare(task, image, {});
  await new Promise<void>((resolve, reject) => {
    prepared.run(quiet, { onStarted: resolve }).catch(reject);
  });
}
process.stdout.write('running\n');
