import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Network } from '../../src/network/index.ts';
import { deferred } from '../../src/util/index.ts';
import { program } from '../fixtures/program.ts';
import { waitFor } from '../fixtures/wait.ts';
import { addressOf, bytes, codeOfRejection, createHarness } from './harness.ts';

const harness = createHarness('tcp');
const children: ChildProcess[] = [];
const test = suite('network: processes');
test.after.each(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await harness.stop();
});

/** Starts a node in another process; resolves to it and its address. */
async function spawnNode(dir: string, ...bootstrap: string[]) {
  const child = spawn(process.execPath, [...program('network/child.ts'), dir, ...bootstrap], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.push(child);
  const [address] = await once(createInterface({ input: child.stdout }), 'line');
  return { child, address: String(address), peer: String(address).split('/p2p/')[1] ?? '' };
}

async function withChild(run: (a: Network, spawned: Awaited<ReturnType<typeof spawnNode>>) => Promise<void>) {
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-network-'));
  try {
    const { network } = await harness.make();
    await network.start();
    const spawned = await spawnNode(dir, addressOf(network));
    await waitFor(() => network.isConnected(spawned.peer), 'the connection');
    await run(network, spawned);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

test('a killed peer is down at once, and calls to it break', () =>
  withChild(async (a, { child, peer }) => {
    const down = deferred<string>();
    a.on('peer:down', event => down.resolve(event.peer));
    const call = codeOfRejection(a.call(peer, 'hang', bytes('')));
    await waitFor(() => a.rtt(peer) !== null, 'a ping');
    const began = performance.now();
    child.kill('SIGKILL');
    assert.is(await down.promise, peer);
    assert.is(await call, 'STREAM_BROKEN');
    assert.ok(performance.now() - began < 1000);
  }));

test('a frozen peer is dropped within 15 s', () =>
  withChild(async (a, { child, peer }) => {
    const began = performance.now();
    child.kill('SIGSTOP');
    await waitFor(() => !a.isConnected(peer), 'the drop', 20_000);
    assert.ok(performance.now() - began < 15_000);
  }));

test('after stop nothing keeps the process alive', () =>
  withChild(async (_a, { child }) => {
    const exited = once(child, 'exit');
    const began = performance.now();
    child.stdin?.write('leave\n');
    assert.equal(await exited, [0, null]);
    assert.ok(performance.now() - began < 5000);
  }));

test.run();
