import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { limits, runOn, taskOf, textOf } from '../sandbox/conformance.ts';
import { docker, IMAGE, withDocker } from './support.ts';

const test = suite('docker: hardening');

test('each container has a user of its own, no group, no new privileges, one filter', () =>
  withDocker(async (executor, owner) => {
    const image = await executor.ensureImage(IMAGE, {});
    const show = `print(open('/proc/self/status').read())`;
    const results = await Promise.all([1, 2].map(() => runOn(executor, image, taskOf(show))));
    const facts = results.map(result =>
      Object.fromEntries(
        textOf(result.stdout)
          .split('\n')
          .map(line => line.split(/:\s+/, 2) as [string, string]),
      ),
    );
    assert.is.not(facts[0]?.Uid, facts[1]?.Uid);
    for (const fact of facts) {
      assert.is(fact.NoNewPrivs, '1');
      assert.is(fact.Seccomp, '2');
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
        assert.match(fact[set] ?? '', /^0+$/);
      assert.ok(Number(fact.Uid?.split('\t')[0]) >= 1_000_000_000);
    }
    const prepared = await executor.prepare(taskOf(''), image, {});
    const { HostConfig: host, Config: config } = await docker.getContainer(prepared.id).inspect();
    await prepared.discard();
    assert.is(config.Labels['duxnode.owner'], owner);
    assert.is(
      config.Env.some(line => line.startsWith('LD_')),
      false,
    );
    const {
      NetworkMode,
      IpcMode,
      CapDrop,
      ReadonlyRootfs,
      Privileged,
      PidsLimit,
      Memory,
      MemorySwap,
      NanoCpus,
    } = host;
    assert.equal(
      { NetworkMode, IpcMode, CapDrop, ReadonlyRootfs, Privileged, PidsLimit, Memory, MemorySwap, NanoCpus },
      {
        NetworkMode: 'none',
        IpcMode: 'private',
        CapDrop: ['ALL'],
        ReadonlyRootfs: true,
        Privileged: false,
        PidsLimit: 64,
        Memory: limits.memoryBytes,
        MemorySwap: limits.memoryBytes,
        NanoCpus: 1e9,
      },
    );
    assert.equal(
      host.SecurityOpt?.map((option: string) => option.slice(0, 17)),
      ['no-new-privileges', 'seccomp={"default'],
    );
    assert.is(host.LogConfig?.Type, 'none');
  }));

test('what takes a protection out for a proof is out of reach of anything but code', async () => {
  const src = fileURLToPath(new URL('../../src/', import.meta.url));
  const names = (await readdir(src, { recursive: true })).filter(name => name.endsWith('.ts'));
  const sources = await Promise.all(names.map(async name => [name, await readFile(join(src, name), 'utf8')]));
  const naming = sources.filter(([, text]) => /weaken/i.test(text ?? '')).map(([name]) => name);
  assert.equal(naming.sort(), [
    'sandbox/docker/boxes.ts',
    'sandbox/docker/executor.ts',
    'sandbox/native/box.ts',
    'sandbox/native/command.ts',
    'sandbox/native/executor.ts',
  ]);
});

test.run();
