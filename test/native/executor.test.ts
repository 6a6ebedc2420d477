import { readlinkSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codeOf } from '../../src/util/index.ts';
import { conformance, MIB, rejection, runOn, taskOf, textOf } from '../sandbox/conformance.ts';
import { programSuite } from '../sandbox/program-suite.ts';
import { IMAGE, nativeSubject, withNative } from './support.ts';

const test = suite('native: executor');

conformance(test, () => nativeSubject());
programSuite(test, () => nativeSubject());

test('the CPU quota holds', () =>
  withNative(async executor => {
    const image = await executor.ensureImage(IMAGE, {});
    const task = taskOf('while True: pass', { limits: { timeoutMs: 2000, milliCpus: 100 } });
    const { usage } = await runOn(executor, image, task);
    assert.ok(usage.cpuMs < 600, `${usage.cpuMs} ms in 2 s of a tenth of a core`);
  }));

test('out of memory is told apart; a child that dies of it is reported though the task ends well', () =>
  withNative(async executor => {
    const image = await executor.ensureImage(IMAGE, {});
    const greedy = await runOn(executor, image, taskOf('x = bytearray(1 << 30)'));
    assert.equal([greedy.outcome, greedy.exitCode, greedy.oomKilled], ['out_of_memory', 137, true]);
    const code =
      'import os\npid = os.fork()\nif pid == 0: x = bytearray(1 << 30)\nos.waitpid(pid, 0)\nprint("on")';
    const parent = await runOn(executor, image, taskOf(code));
    assert.equal([parent.outcome, parent.exitCode, parent.oomKilled], ['exited', 0, true]);
    const inFiles = `open('a', 'wb').write(bytes(30 << 20)); b = bytearray(60 << 20); print(len(b))`;
    const both = await runOn(executor, image, taskOf(inFiles, { limits: { memoryBytes: 64 * MIB } }));
    assert.is(both.outcome, 'out_of_memory', 'files in memory count as memory');
  }));

test('a sandbox has a user and namespaces of its own, no capability, a filter, and read-only roots', () =>
  withNative(async executor => {
    const image = await executor.ensureImage(IMAGE, {});
    const show = `
import json, os
status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines() if ':' in line)
print(json.dumps({'status': {k: v.split() for k, v in status.items()}, 'fds': sorted(os.listdir('/proc/self/fd')),
  'ns': {n: os.readlink('/proc/self/ns/' + n) for n in os.listdir('/proc/self/ns')},
  'mounts': {l.split()[1]: l.split()[3].split(',') for l in open('/proc/self/mounts')},
  'processes': [p for p in os.listdir('/proc') if p.isdigit()], 'net': open('/proc/net/dev').read().count(':'),
  'host': os.uname().nodename}))`;
    const [one, two] = await Promise.all([1, 2].map(() => runOn(executor, image, taskOf(show))));
    const facts = [one, two].map(result => JSON.parse(textOf(result?.stdout ?? new Uint8Array())));
    assert.is.not(facts[0].status.Uid[0], facts[1].status.Uid[0]);
    const kinds = ['mnt', 'ipc', 'uts', 'user', 'cgroup', 'net', 'pid'];
    const own = Object.fromEntries(kinds.map(kind => [kind, readlinkSync(`/proc/self/ns/${kind}`)]));
    for (const { status, ns, mounts, processes, fds, net, host } of facts) {
      assert.is(status.NoNewPrivs[0], '1');
      assert.is(status.Seccomp[0], '2');
      assert.equal(status.Groups, []);
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
        assert.match(status[set][0], /^0+$/);
      assert.ok(Number(status.Uid[0]) >= 1_000_000_000);
      for (const kind of kinds) assert.is.not(ns[kind], own[kind], kind);
      for (const path of ['/', '/sys', '/dev'])
        assert.ok(mounts[path].includes('ro') || path === '/dev', path);
      for (const path of ['/tmp', '/dev/shm']) assert.ok(mounts[path].includes('noexec'), path);
      for (const path of ['/tmp', '/task', '/dev/shm'])
        for (const option of ['nosuid', 'nodev'])
          assert.ok(mounts[path].includes(option), `${path} ${option}`);
      assert.equal(processes.sort(), ['1', '2']);
      assert.equal(fds, ['0', '1', '2', '3'], 'the fourth is the listing itself');
      assert.is(net, 1, 'lo alone');
      assert.is(host, 'sandbox');
    }
  }));

test('what a task writes can be opened by name', () =>
  withNative(async executor => {
    const image = await executor.ensureImage(IMAGE, {});
    const { stdout, stderr } = await runOn(
      executor,
      image,
      taskOf(['sh', '-c', 'echo a >/dev/stdout; echo b >/dev/stderr']),
    );
    assert.equal([textOf(stdout), textOf(stderr)], ['a\n', 'b\n']);
  }));

test('an image that is not here ends at once, and coded', () =>
  withNative(async executor => {
    assert.is(codeOf(await rejection(executor.ensureImage('none:1', {}))), 'IMAGE_PULL_FAILED');
    assert.is(executor.limits().pullsImages, false);
    const controller = new AbortController();
    controller.abort(new Error('no longer'));
    const aborted = executor.ensureImage('none:1', { signal: controller.signal });
    assert.is(await rejection(aborted), controller.signal.reason);
  }));

test('a task may not change the limits of the launcher', () =>
  withNative(async executor => {
    const image = await executor.ensureImage(IMAGE, {});
    const code = `import resource\ntry: resource.prlimit(1, resource.RLIMIT_FSIZE, (0, 0))\nexcept PermissionError: print("no")`;
    assert.is(textOf((await runOn(executor, image, taskOf(code))).stdout), 'no\n');
  }));

test.run();
