import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf, deferred } from '../../src/util/index.ts';
import { quiet, rejection, runOn, taskOf } from '../sandbox/conformance.ts';
import { programs } from '../sandbox/programs.ts';
import { createPrivateEngine } from './private-engine.ts';
import { containersOf, dockerSubject, IMAGE, until } from './support.ts';

const test = suite('docker: engine restart');

/** A second engine on this machine takes root; the proxy in recovery.test.ts shows the same without. */
const testAsRoot = process.getuid?.() === 0 ? test : test.skip;

testAsRoot('kill -9 of the engine in mid-task, and its restart', async () => {
  const engine = await createPrivateEngine();
  try {
    await engine.start();
    await engine.loadBaseImage();
    const { executor, owner } = await dockerSubject({ socketPath: engine.socketPath, probeDownMs: 100 });
    try {
      const image = await executor.ensureImage(IMAGE, {});
      const prepared = await executor.prepare(taskOf(programs.spin.code), image, {});
      const started = deferred<void>();
      const run = rejection(prepared.run(quiet, { onStarted: started.resolve }));
      await started.promise;
      const crashedAt = performance.now();
      await engine.crash();
      assert.is(codeOf(await run), 'SANDBOX_UNAVAILABLE');
      assert.ok(performance.now() - crashedAt < 2000);
      assert.is(executor.status().available, false);
      await engine.start();
      await until('the executor finds the engine', () => executor.status().available);
      assert.is((await runOn(executor, image, taskOf(programs.hello.code))).exitCode, 0);
      await until('nothing is left', async () => (await containersOf(owner, engine.docker)).length === 0);
    } finally {
      await executor.stop();
    }
  } finally {
    await engine.close();
  }
});

test.run();
