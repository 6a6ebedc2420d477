import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf } from '../../src/util/index.ts';
import { conformance, rejection, taskOf } from '../sandbox/conformance.ts';
import { programSuite } from '../sandbox/program-suite.ts';
import { dockerSubject, IMAGE, withDocker } from './support.ts';

const test = suite('docker: executor');

conformance(test, () => dockerSubject());
programSuite(test, () => dockerSubject());

test('an image that no registry can give ends at once, and coded', () =>
  withDocker(async executor => {
    const error = await rejection(executor.ensureImage('127.0.0.1:1/none:1', {}));
    assert.is(codeOf(error), 'IMAGE_PULL_FAILED');
    const controller = new AbortController();
    controller.abort(new Error('no longer'));
    assert.is(
      await rejection(executor.ensureImage('127.0.0.1:1/none:1', { signal: controller.signal })),
      controller.signal.reason,
    );
  }));

test('GPUs that the engine cannot hand over are not lent, and a task that asks for one is refused', () =>
  withDocker(
    async executor => {
      // no engine of the tests has the nvidia runtime
      assert.is(executor.limits().gpus, null);
      const image = await executor.ensureImage(IMAGE, {});
      const task = taskOf('', { gpus: { count: 1, vendor: null, memoryBytes: 0 } });
      const error = await rejection(executor.prepare(task, image, {}));
      assert.is(codeOf(error), 'SANDBOX_REFUSED');
      assert.match((error as Error).message, /lends no GPU/);
    },
    { gpus: { count: 1, vendor: 'nvidia', memoryBytes: 2 ** 33 } },
  ));

test.run();
