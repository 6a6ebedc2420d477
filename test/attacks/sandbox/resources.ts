import { codeOf } from '../../../src/util/index.ts';
import { textOf } from '../../sandbox/conformance.ts';
import { type Lab, runIn, type SandboxAttack, saidBy, type Verdict, verdictOf } from './lab.ts';

const MIB = 1024 * 1024;
/** Processes that the bounded bomb makes at most. */
const BOMB = 100;

/** Of its time, a task with a tenth of a core is held up for 0.9, in pauses that no busy machine makes of itself. */
const PAUSE_S = 0.06;
const HELD = 0.6;
const FREE = 0.4;
/** Of the time, where the runtime counts it: a busy machine gives less than the quota, and so no pauses. */
const TENTH = 0.15;

export const resourceAttacks: readonly SandboxAttack[] = [
  {
    name: 'a fork bomb',
    by: 'at most 64 processes and threads (`PidsLimit`)',
    attack: orFallen(async lab => {
      const code = `
import os, time
count = 0
try:
    while count < ${BOMB}:
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
        count += 1
except BlockingIOError:
    pass
print(count)`;
      const result = await runIn(lab, code, { memoryBytes: 256 * MIB });
      const count = Number(textOf(result.stdout));
      if (result.outcome === 'exited' && count >= 1) return verdictOf(count >= BOMB, `${count} processes`);
      const fell = lab.runtime === 'runsc' && result.outcome === 'out_of_memory';
      return { verdict: fell ? 'stopped' : 'partly', seen: saidBy(result) };
    }),
    control: { options: { maxPids: 2 * BOMB } },
  },
  {
    name: 'more memory than asked for',
    by: 'memory limit (`Memory` = `MemorySwap`)',
    attack: orFallen(async lab => {
      const mib = lab.weakened ? 160 : 1024;
      const result = await runIn(lab, `x = bytearray(${mib} << 20)`, { memoryBytes: 64 * MIB });
      if (result.outcome === 'out_of_memory' && result.oomKilled && result.exitCode === 137)
        return verdictOf(false, saidBy(result));
      return { verdict: result.exitCode === 0 ? 'succeeded' : 'partly', seen: saidBy(result) };
    }),
    control: { limits: { memoryBytes: 256 * MIB } },
  },
  {
    name: 'a child out of memory, hidden by a task that ends well',
    by: 'the kernel’s count of its kills',
    notOn: { runsc: 'out of memory ends all of the sandbox' },
    async attack(lab) {
      const code = `
import os
if os.fork() == 0: x = bytearray(160 << 20); os._exit(0)
os.wait()`;
      const result = await runIn(lab, code, { memoryBytes: 64 * MIB });
      if (result.outcome !== 'exited' || result.exitCode !== 0)
        return { verdict: 'partly', seen: saidBy(result) };
      return verdictOf(!result.oomKilled, saidBy(result));
    },
    control: { limits: { memoryBytes: 256 * MIB } },
  },
  {
    name: 'more CPU time than asked for',
    by: 'CPU quota (`NanoCpus`)',
    async attack(lab) {
      const code = `
import time
end = time.monotonic() + 1.5
last, used, held = time.monotonic(), time.process_time(), 0
while last < end:
    now = time.monotonic()
    if now - last > ${PAUSE_S}: held += now - last
    last = now
print(held / 1.5, (time.process_time() - used) / 1.5)`;
      const result = await runIn(lab, code, { milliCpus: 100 });
      const [held = 0, used = 1] = textOf(result.stdout).split(' ').map(Number);
      if (held > HELD || used < TENTH) return verdictOf(false, saidBy(result));
      return { verdict: held < FREE ? 'succeeded' : 'partly', seen: saidBy(result) };
    },
    control: { limits: { milliCpus: 1000 } },
  },
  {
    name: 'more output than its cap',
    by: 'counted as it is read; then SIGKILL',
    async attack(lab) {
      const code = `import sys\nfor _ in range(3 << 10): sys.stdout.write('x' * 1024)`;
      const result = await runIn(lab, code);
      const killed =
        result.outcome === 'output_limit' && result.truncated.stdout && result.stdout.length === MIB;
      if (killed) return verdictOf(false, result.outcome);
      return { verdict: result.stdout.length === 3 * MIB ? 'succeeded' : 'partly', seen: result.outcome };
    },
    control: { limits: { stdoutBytes: 4 * MIB } },
  },
  {
    name: 'very much output on both streams, to fill the daemon’s memory',
    by: 'the same; nothing beyond the caps is kept',
    attack: flood,
    control: { limits: { stdoutBytes: 64 * MIB, stderrBytes: 64 * MIB } },
  },
  {
    name: 'outliving its time, with SIGTERM ignored',
    by: 'timeout, then SIGKILL',
    async attack(lab) {
      const code = `
import os, signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
end = time.monotonic() + 1
while time.monotonic() < end: pass
${lab.weakened ? '' : 'os.kill(os.getpid(), signal.SIGSTOP)'}`;
      const result = await runIn(lab, code, { timeoutMs: 300 });
      if (result.outcome === 'timeout') return verdictOf(false, saidBy(result));
      return { verdict: result.exitCode === 0 ? 'succeeded' : 'partly', seen: saidBy(result) };
    },
    control: { limits: { timeoutMs: 20_000 } },
  },
];

/**
 * gVisor that may have no more threads, or no more memory, falls with all that is in it; a busy engine may miss that it was for
 * memory.
 */
function orFallen(attack: SandboxAttack['attack']): SandboxAttack['attack'] {
  return async lab => {
    try {
      return await attack(lab);
    } catch (error) {
      if (lab.runtime !== 'runsc' || codeOf(error) !== 'SANDBOX_FAILED') throw error;
      return verdictOf(false, String(error));
    }
  };
}

/** 96 MiB in all: endless would do as well, but not where nothing stops it. */
async function flood(lab: Lab): Promise<Verdict> {
  const code = `
import os
fd = 1 if os.fork() else 2
for _ in range(768): os.write(fd, bytes(65536))
if fd == 1: os.wait()`;
  const before = process.memoryUsage().rss;
  const result = await runIn(lab, code, { stdoutBytes: 100_000, stderrBytes: 100_000 });
  const grown = process.memoryUsage().rss - before;
  const kept = result.stdout.length + result.stderr.length;
  const seen = `${result.outcome}, ${kept} bytes kept, ${grown} bytes of memory more`;
  if (result.outcome === 'output_limit' && kept <= 200_000 && grown < 64 * MIB) return verdictOf(false, seen);
  return { verdict: result.outcome === 'exited' && grown > 64 * MIB ? 'succeeded' : 'partly', seen };
}
