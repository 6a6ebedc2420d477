import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Executor, SandboxImage } from '../../src/sandbox/index.ts';
import { quiet, rejection, runOn, type Subject, taskOf, textOf } from './conformance.ts';

/** What real programs see and cost, in every runtime that has a launcher: beside the conformance suite. */
export function programSuite(test: Test, create: () => Promise<Subject>): void {
  const check = (name: string, body: (executor: Executor, image: SandboxImage) => Promise<void>) =>
    test(name, async () => {
      const subject = await create();
      try {
        await body(subject.executor, await subject.executor.ensureImage(subject.image, {}));
      } finally {
        await subject.executor.stop();
      }
      await subject.leavesNothing();
    });

  check(
    'runs a command line, with its exit code, variables and working directory',
    async (executor, image) => {
      const task = taskOf(['sh', '-c', 'pwd; echo $A; exit 5'], { env: { A: 'b' }, workingDir: 'x/y' });
      const result = await runOn(executor, image, task);
      assert.is(textOf(result.stdout), '/task/x/y\nb\n');
      assert.is(result.exitCode, 5);
      assert.is((await runOn(executor, image, taskOf(['no-such-command']))).exitCode, 127);
      assert.is((await runOn(executor, image, taskOf(['/etc/passwd']))).exitCode, 126);
      assert.is((await runOn(executor, image, taskOf(['true'], { workingDir: '/none' }))).exitCode, 126);
    },
  );

  check(
    'source behaves as a plain script: traceback, exit handlers, threads, pickling of its own classes',
    async (executor, image) => {
      const failing = await runOn(executor, image, taskOf('def f():\n    raise ValueError("x")\nf()'));
      assert.is(failing.exitCode, 1);
      assert.is(
        textOf(failing.stderr),
        'Traceback (most recent call last):\n  File "main.py", line 3, in <module>\n    f()\n' +
          '  File "main.py", line 2, in f\n    raise ValueError("x")\nValueError: x\n',
      );
      const code = `
import atexit, pickle, sys, threading
class Thing: pass
atexit.register(lambda: print("handler"))
threading.Thread(target=lambda: (threading.main_thread().join(), print("thread"))).start()
print(type(pickle.loads(pickle.dumps(Thing()))).__name__, __name__, sys.argv)
sys.exit("bye")`;
      const result = await runOn(executor, image, taskOf(code));
      assert.is(textOf(result.stdout), "Thing __main__ ['main.py']\nthread\nhandler\n");
      assert.is(textOf(result.stderr), 'bye\n');
      assert.is(result.exitCode, 1);
      assert.is((await runOn(executor, image, taskOf('x ='))).exitCode, 1);
    },
  );

  check('source and arguments arrive as they are, whatever characters they have', async (executor, image) => {
    const odd = `"'\\ \\N{BULLET} \\u0041 {} \u2028 \u007f \t é 😀 __import__("os")`;
    const show = `import sys\nsys.stdout.buffer.write('''${odd.replaceAll('\\', '\\\\').replace(`"'`, `"\\'`)}'''.encode())`;
    assert.is(textOf((await runOn(executor, image, taskOf(show))).stdout), odd);
    assert.is(textOf((await runOn(executor, image, taskOf(['printf', '%s', odd]))).stdout), odd);
    const surrogate = await runOn(executor, image, taskOf('print("\ud800")'));
    assert.is(surrogate.exitCode, 1);
  });

  check('measures CPU time and memory', async (executor, image) => {
    const code =
      'x = bytearray(50 << 20)\nimport time\nt = time.process_time()\nwhile time.process_time() < t + 0.2: pass';
    const { usage } = await runOn(executor, image, taskOf(code));
    assert.ok(usage.cpuMs >= 200 && usage.cpuMs < 2000, `cpuMs ${usage.cpuMs}`);
    assert.ok(usage.peakMemoryBytes > 50 << 20, `peak ${usage.peakMemoryBytes}`);
    const spinning = taskOf('x = bytearray(50 << 20)\nwhile True: pass', { limits: { timeoutMs: 1000 } });
    const killed = await runOn(executor, image, spinning);
    assert.is(killed.outcome, 'timeout');
    assert.ok(killed.usage.cpuMs > 100, `cpuMs ${killed.usage.cpuMs} of a task that was killed`);
    assert.ok(killed.usage.peakMemoryBytes > 50 << 20);
  });

  check(
    'counts the bytes that went in and came out, cut streams as they were kept',
    async (executor, image) => {
      const code = `
import sys
sys.stdout.write('o' * 70); sys.stdout.flush()
sys.stderr.write('e' * 30)
open('outputs/a', 'w').write('a' * 11)
open('outputs/b', 'w').write('b' * 22)`;
      const inputs = [
        { path: 'x', bytes: Buffer.from('12345') },
        { path: 'y/z', bytes: Buffer.from('67') },
      ];
      const { usage } = await runOn(executor, image, taskOf(code, { inputs }));
      const moved = ({ inputBytes, outputBytes, stdoutBytes, stderrBytes }: typeof usage) => [
        inputBytes,
        outputBytes,
        stdoutBytes,
        stderrBytes,
      ];
      assert.equal(moved(usage), [7, 33, 70, 30]);
      const cut = await runOn(executor, image, taskOf(code, { limits: { stdoutBytes: 50 } }));
      assert.is(cut.outcome, 'output_limit');
      assert.is(cut.usage.stdoutBytes, 50);
      assert.is((await runOn(executor, image, taskOf(['no-such-command']))).usage.inputBytes, 0);
    },
  );

  check(
    'a task that is killed is charged for what it used, and for nothing that its box used before',
    async (executor, image) => {
      const spin = `
import time
hold = bytearray(HELD << 20)
end = time.process_time() + SECONDS
while time.process_time() < end: pass
time.sleep(WAIT)`;
      const program = (values: Record<string, number>) =>
        Object.entries(values).reduce((text, [name, value]) => text.replace(name, String(value)), spin);
      const reuse = { reuseBy: 'somebody', limits: { memoryBytes: 256 * 2 ** 20 } };
      const first = await runOn(
        executor,
        image,
        taskOf(program({ HELD: 100, SECONDS: 1.5, WAIT: 0 }), { ...reuse, key: 'first/0/1' }),
      );
      assert.is(first.outcome, 'exited');
      const killed = await runOn(
        executor,
        image,
        taskOf(program({ HELD: 20, SECONDS: 0.3, WAIT: 60 }), {
          ...reuse,
          key: 'second/0/1',
          limits: { ...reuse.limits, timeoutMs: 5_000 },
        }),
      );
      assert.is(killed.outcome, 'timeout');
      assert.ok(killed.usage.cpuMs >= 300, `cpuMs ${killed.usage.cpuMs}`);
      assert.ok(killed.usage.cpuMs < 1200, `cpuMs ${killed.usage.cpuMs}`);
      const peakMiB = killed.usage.peakMemoryBytes / 2 ** 20;
      assert.ok(peakMiB > 20 && peakMiB < 100, `peak ${peakMiB} MiB`);
    },
  );

  check('an abort while a sandbox is being made leaves nothing', async (executor, image) => {
    const controller = new AbortController();
    const preparing = executor.prepare(taskOf(''), image, { signal: controller.signal });
    controller.abort(new Error('no longer'));
    assert.is(await rejection(preparing), controller.signal.reason);
  });

  check('runs several at once', async (executor, image) => {
    const tasks = Array.from({ length: 8 }, (_, i) => taskOf(`print(${i})`, { key: `many/${i}/1` }));
    const results = await Promise.all(tasks.map(task => runOn(executor, image, task)));
    assert.equal(
      results.map(result => textOf(result.stdout)),
      tasks.map((_, i) => `${i}\n`),
    );
  });

  check('a slow reader holds the task back, and gets all of it', async (executor, image) => {
    const prepared = await executor.prepare(taskOf('for i in range(5000): print("y" * 99)'), image, {});
    let bytes = 0;
    const result = await prepared.run(
      {
        async stdout(chunk) {
          await new Promise(resolve => setImmediate(resolve));
          bytes += chunk.length;
        },
        stderr: quiet.stderr,
        file: quiet.file,
      },
      {},
    );
    assert.is(bytes, 500_000);
    assert.is(result.stdout.length, 500_000);
  });
}
