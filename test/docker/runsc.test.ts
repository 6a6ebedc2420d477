import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf } from '../../src/util/index.ts';
import { conformance, MIB, rejection, runOn, taskOf, textOf } from '../sandbox/conformance.ts';
import { createPrivateEngine } from './private-engine.ts';
import { docker, dockerSubject, IMAGE, withDocker, withoutGvisor } from './support.ts';

const test = suite('docker: gVisor');
const script = fileURLToPath(new URL('../../scripts/runsc.sh', import.meta.url));
const missing = await withoutGvisor();

if (missing) test.skip(missing, () => {});
else {
  conformance(test, () => dockerSubject({ runtime: 'runsc' }));

  test('a task runs on a kernel that is not the host’s, by the operator’s word or its own', async () => {
    const kernelOf = async (init: { runtime?: string }, task: { runtime?: 'runsc' }) => {
      let text = '';
      await withDocker(async executor => {
        const image = await executor.ensureImage(IMAGE, {});
        const { stdout } = await runOn(executor, image, taskOf(['cat', '/proc/version'], task));
        text = textOf(stdout);
      }, init);
      return text;
    };
    const host = await kernelOf({}, {});
    const guest = await kernelOf({ runtime: 'runsc' }, {});
    assert.is.not(guest, host);
    assert.is(await kernelOf({}, { runtime: 'runsc' }), guest);
  });

  test('its container is as hardened as any, with room for its own threads', () =>
    withDocker(
      async executor => {
        const prepared = await executor.prepare(taskOf(''), await executor.ensureImage(IMAGE, {}), {});
        const { HostConfig: host } = await docker.getContainer(prepared.id).inspect();
        await prepared.discard();
        assert.is(host.Runtime, 'runsc');
        assert.is(host.PidsLimit, 384);
        assert.equal(host.CapDrop, ['ALL']);
        assert.is(host.SecurityOpt?.length, 2);
      },
      { runtime: 'runsc' },
    ));

  test('what it takes of the memory is asked for beside the least', () =>
    withDocker(async executor => {
      const image = await executor.ensureImage(IMAGE, {});
      const runIn = (runtime: 'runsc' | undefined, memoryBytes: number) =>
        runOn(executor, image, taskOf('print(1)', { runtime, limits: { memoryBytes } }));
      const { minMemoryBytes } = executor.limits();
      assert.is((await runIn(undefined, minMemoryBytes)).exitCode, 0);
      assert.is((await runIn('runsc', minMemoryBytes + 16 * MIB)).exitCode, 0);
      const refused = await rejection(runIn('runsc', minMemoryBytes));
      assert.match(String(refused), /memoryBytes must be from/);
    }));

  test('an engine without it says so, until the script has given it: without a restart', async () => {
    const engine = await createPrivateEngine();
    try {
      await engine.start();
      await engine.loadBaseImage();
      const { socketPath, configFile, pidFile } = engine;
      const asked = await dockerSubject({ socketPath });
      const set = await dockerSubject({ socketPath, runtime: 'runsc' });
      try {
        const image = await asked.executor.ensureImage(IMAGE, {});
        const task = taskOf('print(1)', { runtime: 'runsc' });
        assert.is(codeOf(await rejection(asked.executor.prepare(task, image, {}))), 'SANDBOX_REFUSED');
        assert.match(set.executor.status().reason ?? '', /runsc.*scripts\/runsc\.sh/);
        const refused = await rejection(set.executor.prepare(taskOf(''), image, {}));
        assert.is(codeOf(refused), 'SANDBOX_UNAVAILABLE');
        assert.match(String(refused), /scripts\/runsc\.sh/);

        const env = {
          ...process.env,
          DOCKER_HOST: `unix://${socketPath}`,
          DUXNODE_DOCKER_CONFIG: configFile,
          DUXNODE_DOCKER_PIDFILE: pidFile,
        };
        await promisify(execFile)(script, { env });
        assert.is((await asked.executor.probe()).available, true);
        assert.is((await set.executor.probe()).available, true);
        assert.is(textOf((await runOn(asked.executor, image, task)).stdout), '1\n');
        assert.is(textOf((await runOn(set.executor, image, taskOf('print(2)'))).stdout), '2\n');
      } finally {
        await Promise.all([asked.executor.stop(), set.executor.stop()]);
      }
    } finally {
      await engine.close();
    }
  });
}

test.run();
