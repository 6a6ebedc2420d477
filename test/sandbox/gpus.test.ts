import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GpuShelf, gpuConfig, gpusUnusable } from '../../src/sandbox/docker/gpus.ts';
import { detectGpus, type GpuProbe } from '../../src/sandbox/gpu-detect.ts';
import { checkTask } from '../../src/sandbox/task.ts';
import { codeOf, messageOf } from '../../src/util/index.ts';
import { limits, taskOf } from './conformance.ts';

const test = suite('sandbox: GPUs');

const nvidia = { count: 3, vendor: 'nvidia' as const, memoryBytes: 8 * 2 ** 30 };

function machine(change: Partial<GpuProbe>): GpuProbe {
  return {
    nvidiaSmi: () => Promise.reject(new Error('spawn nvidia-smi ENOENT')),
    hasKfd: async () => false,
    amdMemory: async () => [],
    ...change,
  };
}

test('finds what is there, of one vendor', async () => {
  assert.is(await detectGpus(machine({})), null);
  assert.equal(await detectGpus(machine({ nvidiaSmi: async () => '24564\n 8192 \n' })), {
    count: 2,
    vendor: 'nvidia',
    memoryBytes: 8 * 2 ** 30,
  });
  // a driver that speaks of an error instead, on stdout and with exit code 0
  assert.is(await detectGpus(machine({ nvidiaSmi: async () => 'No devices were found\n' })), null);
  const cards = { amdMemory: async () => [16 * 2 ** 30, 12 * 2 ** 30] };
  assert.is(await detectGpus(machine(cards)), null);
  const amd = { count: 2, vendor: 'amd' as const, memoryBytes: 12 * 2 ** 30 };
  assert.equal(await detectGpus(machine({ ...cards, hasKfd: async () => true })), amd);
  const both = machine({ ...cards, hasKfd: async () => true, nvidiaSmi: async () => '8192\n' });
  assert.is((await detectGpus(both))?.vendor, 'nvidia');
});

test('asks this machine without failing, whatever it has', async () => {
  const found = await detectGpus();
  assert.ok(found === null || found.count > 0);
});

test('a container is handed the GPUs that are its own, and no others', async () => {
  assert.equal(await gpuConfig('nvidia', [0, 2]), {
    DeviceRequests: [{ Driver: 'nvidia', DeviceIDs: ['0', '2'], Capabilities: [['gpu']] }],
  });
  const groups: Record<string, number> = {
    '/dev/kfd': 105,
    '/dev/dri/renderD129': 105,
    '/dev/dri/renderD130': 44,
  };
  const device = (path: string) => ({ PathOnHost: path, PathInContainer: path, CgroupPermissions: 'rw' });
  assert.equal(await gpuConfig('amd', [1, 2], async path => groups[path] ?? 0), {
    Devices: ['/dev/kfd', '/dev/dri/renderD129', '/dev/dri/renderD130'].map(device),
    GroupAdd: ['105', '44'],
  });
  // the group of root opens far more than a device
  assert.equal((await gpuConfig('amd', [0], async () => 0)).GroupAdd, []);
});

test('no GPU is held by two', () => {
  const shelf = new GpuShelf(nvidia);
  const first = shelf.take(2);
  const second = shelf.take(1);
  assert.equal([...first, ...second], [0, 1, 2]);
  assert.throws(
    () => shelf.take(1),
    (error: unknown) => codeOf(error) === 'SANDBOX_FAILED',
  );
  shelf.giveBack(first);
  assert.equal(shelf.take(2), [0, 1]);
  assert.throws(() => new GpuShelf(null).take(1), /hold the GPUs/);
});

test('what the machine has not is refused, with the reason', () => {
  const bounds = {
    ...limits,
    minMemoryBytes: 1,
    maxTmpfsBytes: 2 ** 40,
    maxDiskBytes: 2 ** 40,
    noDisks: null,
    maxInputFiles: 1,
    copiedInputBytes: 1,
    runtimes: ['docker', 'runsc'] as const,
    allowedHosts: [],
  };
  const why = (lent: typeof nvidia | null, change: Parameters<typeof taskOf>[1]) => {
    try {
      checkTask(taskOf('', change), { ...bounds, gpus: lent });
      return undefined;
    } catch (error) {
      assert.is(codeOf(error), 'SANDBOX_REFUSED');
      return messageOf(error);
    }
  };
  const one = { count: 1, vendor: null, memoryBytes: 0 };
  assert.match(why(null, { gpus: one }) ?? '', /lends no GPU/);
  assert.match(why(nvidia, { gpus: { ...one, count: 4 } }) ?? '', /lends 3 GPUs/);
  assert.match(why(nvidia, { gpus: { ...one, vendor: 'amd' } }) ?? '', /has no amd GPU/);
  assert.match(why(nvidia, { gpus: { ...one, memoryBytes: 2 ** 35 } }) ?? '', /8192 MiB each/);
  assert.match(why(nvidia, { gpus: one, runtime: 'runsc' }) ?? '', /gVisor/);
  assert.is(why(nvidia, { gpus: one }), undefined);
});

test('lent GPUs count only where the engine can hand them over', () => {
  assert.match(gpusUnusable(nvidia, ['runc', 'runsc']) ?? '', /NVIDIA container toolkit/);
  assert.is(gpusUnusable(nvidia, ['runc', 'nvidia']), undefined);
  assert.is(gpusUnusable({ ...nvidia, vendor: 'amd' }, ['runc']), undefined);
});

test.run();
