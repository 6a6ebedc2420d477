import { execFile } from 'node:child_process';
import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Gpus } from '../wire/index.ts';

/** What is asked of the machine; tests answer in its place. */
export interface GpuProbe {
  /** stdout of `nvidia-smi` with these arguments; rejects where there is none. */
  nvidiaSmi(args: readonly string[]): Promise<string>;
  /** Whether AMD's compute driver is there (`/dev/kfd`). */
  hasKfd(): Promise<boolean>;
  /** Bytes of memory of each AMD card. */
  amdMemory(): Promise<number[]>;
}

/** A driver that hangs must not keep the daemon from starting. */
const SMI_TIMEOUT_MS = 5_000;
const QUERY = ['--query-gpu=memory.total', '--format=csv,noheader,nounits'];
const DRM = '/sys/class/drm';
/** AMD's number as a PCI vendor. */
const AMD = '0x1002';

export const machineProbe: GpuProbe = {
  async nvidiaSmi(args) {
    const { stdout } = await promisify(execFile)('nvidia-smi', args, { timeout: SMI_TIMEOUT_MS });
    return stdout;
  },
  hasKfd: () =>
    access('/dev/kfd').then(
      () => true,
      () => false,
    ),
  async amdMemory() {
    const cards = (await readdir(DRM)).filter(name => /^card\d+$/.test(name)).sort();
    const found = await Promise.all(cards.map(name => amdCard(join(DRM, name, 'device'))));
    return found.filter(bytes => bytes > 0);
  },
};

async function amdCard(device: string): Promise<number> {
  const read = (name: string) =>
    readFile(join(device, name), 'utf8').then(
      text => text.trim(),
      () => '',
    );
  return (await read('vendor')) === AMD ? Number(await read('mem_info_vram_total')) || 0 : 0;
}

/** The GPUs of this machine, of one vendor: NVIDIA's where there are both. Memory is that of the smallest. Null: none. */
export async function detectGpus(probe: GpuProbe = machineProbe): Promise<Gpus | null> {
  const nvidia = await probe.nvidiaSmi(QUERY).then(mebibytesOf, () => []);
  if (nvidia.length > 0) return lending('nvidia', nvidia);
  const amd = (await probe.hasKfd()) ? await probe.amdMemory().catch(() => []) : [];
  return amd.length > 0 ? lending('amd', amd) : null;
}

/** One line for each GPU, its memory in MiB; anything else is no GPU. */
function mebibytesOf(text: string): number[] {
  return text
    .split('\n')
    .filter(line => /^\s*\d+\s*$/.test(line))
    .map(line => Number(line) * 2 ** 20);
}

function lending(vendor: 'nvidia' | 'amd', memory: readonly number[]): Gpus {
  return { count: Math.min(memory.length, 64), vendor, memoryBytes: Math.min(...memory) };
}
