import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf } from '../../src/util/index.ts';
import { movableClock } from '../fixtures/movable-clock.ts';
import { limits, quiet, rejection, runOn, taskOf, textOf } from '../sandbox/conformance.ts';
import { withRegistry } from './registry.ts';
import { docker, IMAGE, until, withDocker, withImage } from './support.ts';

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
    // it was looked at a moment ago, and still counts as there
    assert.equal(await executor.ensureImage(ref, {}), image);
    const error = await rejection(executor.prepare(taskOf(''), image, {}));
    assert.is(codeOf(error), 'IMAGE_UNKNOWN');
    assert.match(codeOf(await rejection(executor.ensureImage(ref, {}))), /^IMAGE_/);
  }));

test('an image is looked at again after five seconds: a tag that moved is seen then', () =>
  withImage(`FROM ${IMAGE}\nENV A=first\n`, {}, first =>
    withImage(`FROM ${IMAGE}\nENV A=second\n`, {}, async second => {
      const clock = movableClock();
      await withDocker(
        async executor => {
          const [before, after] = [
            await executor.ensureImage(first, {}),
            await executor.ensureImage(second, {}),
          ];
          const [repo = '', tag = ''] = first.split(':');
          await docker.getImage(second).tag({ repo, tag });
          assert.equal(await executor.ensureImage(first, {}), before);
          clock.jump(5_000);
          assert.is((await executor.ensureImage(first, {})).digest, after.digest);
          // no name is left to it
          await docker.getImage(before.digest).remove();
        },
        {},
        { clock },
      );
    }),
  ));

test('an image that was built here is named by digest: that of its id, below its own name alone', () =>
  withImage(`FROM ${IMAGE}\nENV A=1\n`, {}, ref =>
    withRegistry(registry =>
      withDocker(async executor => {
        const { Id: id } = await docker.getImage(ref).inspect();
        const name = ref.slice(0, ref.lastIndexOf(':'));
        await executor.ensureImage(ref, {});
        for (const pinned of [`${name}@${id}`, `${name}:other@${id}`, `docker.io/${name}@${id}`, id]) {
          const image = await executor.ensureImage(pinned, {});
          assert.equal([image.ref, image.digest], [pinned, id]);
          await until('it to be known', () => executor.hasImage(pinned));
        }
        const elsewhere = `${registry.host}/small@${id}`;
        assert.is(executor.hasImage(elsewhere), false);
        assert.is(codeOf(await rejection(executor.ensureImage(elsewhere, {}))), 'IMAGE_UNKNOWN');
      }),
    ),
  ));

test('our own base images are never taken from a registry: there, anybody could call his so', () =>
  withDocker(async executor => {
    for (const ref of ['duxnode/no-such:base', `docker.io/duxnode/shell@sha256:${'0'.repeat(64)}`]) {
      const error = await rejection(executor.ensureImage(ref, {}));
      assert.is(codeOf(error), 'IMAGE_PULL_FAILED');
      assert.match(String(error), /build-base\.sh/);
    }
  }));

test('what an engine would take for the beginning of an id is a name and nothing else', () =>
  withDocker(async executor => {
    const { Id: id } = await docker.getImage(IMAGE).inspect();
    for (const beginning of [id.slice(0, 20), id.slice(0, 70), `${id}0`, 'sha256'])
      assert.is(codeOf(await rejection(executor.ensureImage(beginning, {}))), 'IMAGE_UNKNOWN', beginning);
    const short = id.slice('sha256:'.length, 'sha256:'.length + 12);
    assert.match(codeOf(await rejection(executor.ensureImage(short, {}))), /^IMAGE_/);
    const missing = `sha256:${'0'.repeat(64)}`;
    assert.is(codeOf(await rejection(executor.ensureImage(missing, {}))), 'IMAGE_UNKNOWN');
  }));

test.run();
