import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf } from '../../src/util/index.ts';
import { limits, quiet, rejection, runOn, taskOf, textOf } from '../sandbox/conformance.ts';
import { docker, IMAGE, withDocker, withImage } from './support.ts';

const test = suite('docker: images');

const bytes = Buffer.from('x');

test('without Python: a command line runs directly, anything more is refused with the reason', () =>
  withImage(`FROM ${IMAGE}\nRUN rm -f /usr/bin/python3*\nENTRYPOINT ["/bin/false"]\n`, {}, ref =>
    withDocker(async executor => {
      const image = await executor.ensureImage(ref, {});
      const task = taskOf(['sh', '-c', 'pwd; echo "$A"; touch outputs; exit 6'], { env: { A: 'b' } });
      const result = await runOn(executor, image, task);
      assert.is(textOf(result.stdout), '/task\nb\n');
      assert.is(result.exitCode, 6);
      assert.equal(result.outputs, []);
      const spin = taskOf(['sh', '-c', 'while :; do :; done'], { limits: { timeoutMs: 300 } });
      assert.is((await runOn(executor, image, spin)).outcome, 'timeout');
      assert.is((await runOn(executor, image, taskOf(['no-such-command']))).exitCode, 127);
      for (const refused of [taskOf('print(1)'), taskOf(['true'], { inputs: [{ path: 'a', bytes }] })]) {
        const error = await rejection(executor.prepare(refused, image, {}));
        assert.is(codeOf(error), 'SANDBOX_REFUSED');
        assert.match(String(error), /no python3/);
      }
    }),
  ));

test('an image whose Python cannot run the launcher is as one without', () =>
  withImage(
    `FROM ${IMAGE}\nCOPY python3 /usr/local/bin/python3\n`,
    { python3: '#!/bin/sh\necho too old >&2\nexit 1\n' },
    ref =>
      withDocker(async executor => {
        const image = await executor.ensureImage(ref, {});
        assert.is(textOf((await runOn(executor, image, taskOf(['echo', 'direct']))).stdout), 'direct\n');
        assert.match(String(await rejection(executor.prepare(taskOf('1'), image, {}))), /SANDBOX|launcher/);
      }),
  ));

/** A `python3` that speaks the launcher's protocol and lies: stages, then ends at once with `files` and `contents`. */
const liar = (files: string, contents: string, used = 0) => `#!/usr/bin/python3
import json, os
def read(size):
    got = b''
    while len(got) < size: got += os.read(0, size - len(got))
    return got
def answer(facts):
    text = json.dumps(facts, separators=(',', ':')).encode()
    return len(text).to_bytes(4, 'big') + text
os.write(1, answer({'ready': True}))
read(int.from_bytes(read(4), 'big'))
os.write(1, answer({'staged': True}))
read(1)
end = {'code': 0, 'signal': 0, 'cpuMs': ${used}, 'peakBytes': ${used}, 'oomKills': 0, 'truncated': False, 'files': ${files}}
mark = b'\\0' + read(16)
os.write(1, mark + answer(end) + ${contents})
os.write(2, mark)
`;

test('a hostile image that writes the launcher’s words itself gets no file out of its place', () =>
  withImage(
    `FROM ${IMAGE}\nCOPY path size /usr/local/lib/\nCOPY python3 /usr/local/bin/python3\n`,
    {
      python3:
        '#!/bin/sh\nexec /usr/bin/python3 "/usr/local/lib/$(cat /etc/liar 2>/dev/null || echo path)"\n',
      path: liar(`[['../../etc/cron.d/x', 1]]`, `b'x'`),
      size: liar(`[['x', 1 << 40]]`, `b'x'`),
    },
    ref =>
      withDocker(async executor => {
        const image = await executor.ensureImage(ref, {});
        const prepared = await executor.prepare(taskOf(''), image, {});
        assert.is(codeOf(await rejection(prepared.run(quiet, {}))), 'SANDBOX_FAILED');
      }),
  ));

test('what a hostile image says of its use stays within what can be, and its time is taken outside', () =>
  withImage(
    `FROM ${IMAGE}\nCOPY liar python3 /usr/local/bin/\n`,
    {
      python3: '#!/bin/sh\nexec /usr/bin/python3 /usr/local/bin/liar\n',
      liar: liar('[]', `b''`, 1e300),
    },
    ref =>
      withDocker(async executor => {
        const { usage } = await runOn(executor, await executor.ensureImage(ref, {}), taskOf(''));
        assert.is(usage.peakMemoryBytes, limits.memoryBytes);
        assert.is(usage.cpuMs, usage.wallMs * 1024);
        assert.ok(usage.wallMs > 0 && usage.wallMs < 20_000);
      }),
  ));

test('declared volumes become bounded tmpfs, and no volume of the engine stays', () =>
  withImage(`FROM ${IMAGE}\nVOLUME /data\n`, {}, ref =>
    withDocker(async executor => {
      const image = await executor.ensureImage(ref, {});
      const prepared = await executor.prepare(
        taskOf(`open('/data/x', 'wb').write(bytes(20 << 20))`),
        image,
        {},
      );
      const { Mounts: mounts } = await docker.getContainer(prepared.id).inspect();
      assert.equal(
        mounts.filter(mount => mount.Type === 'volume'),
        [],
      );
      assert.match(textOf((await prepared.run(quiet, {})).stderr), /No space left/);
    }),
  ));

test('an image that another tool removes is unknown again, not a failure of the worker', () =>
  withDocker(async executor => {
    let ref = '';
    let image = await executor.ensureImage(IMAGE, {});
    await withImage(`FROM ${IMAGE}\nENV A=1\n`, {}, async built => {
      ref = built;
      image = await executor.ensureImage(ref, {});
      assert.is(executor.hasImage(ref), true);
    });
    const error = await rejection(executor.prepare(taskOf(''), image, {}));
    assert.is(codeOf(error), 'IMAGE_UNKNOWN');
  }));

test.run();
