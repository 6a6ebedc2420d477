import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type DaemonProcess, Devnet } from '../../test/fixtures/daemons.ts';
import { type Figure, figure } from './figures.ts';

const MIB = 2 ** 20;
/** How often memory is looked at while something runs. */
const LOOK_MS = 20;

const COPY = `import shutil\nshutil.copyfile('inputs/large.bin', 'outputs/copy.bin')`;
const FLOOD = `import sys\nfor _ in range(100): sys.stdout.write('x' * 1000000)`;

type Body = NonNullable<NonNullable<Parameters<DaemonProcess['client']['submitTask']>[0]>['body']>;

/** What the daemon that grew most grew by while `fn` ran, MiB. */
async function growth(daemons: readonly DaemonProcess[], fn: () => Promise<void>): Promise<number> {
  const look = () => Promise.all(daemons.map(daemon => daemon.rssBytes()));
  const before = await look();
  const most = [...before];
  let running = true;
  const looking = (async () => {
    while (running) {
      for (const [i, bytes] of (await look()).entries()) most[i] = Math.max(most[i] as number, bytes);
      await new Promise(resolve => setTimeout(resolve, LOOK_MS));
    }
  })();
  try {
    await fn();
  } finally {
    running = false;
    await looking;
  }
  return Math.max(...most.map((bytes, i) => bytes - (before[i] as number))) / MIB;
}

/** One task to its end; the times of its phases, milliseconds. */
async function run(
  { client }: DaemonProcess,
  body: Body,
): Promise<{ state: string; at: (phase: 'staging' | 'executing' | 'collecting' | 'verifying') => number }> {
  const { task_id: taskId } = (await client.submitTask({ body })).body;
  for (;;) {
    const { body: result } = await client.getTaskResult({
      params: { task_id: taskId },
      query: { wait: '60' },
    });
    if (!('ended_at' in result) || !['completed', 'failed'].includes(result.status)) continue;
    const { phases } = (await client.getTaskStatus({ params: { task_id: taskId } })).body;
    const state = result.error?.code ?? result.status;
    return { state, at: phase => Date.parse(phases[phase] ?? '') };
  }
}

/** A file through a socket into a file, with nothing else: milliseconds. */
async function socketCopyMs(from: string, to: string): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await new Promise(resolve => server.once('listening', resolve));
  const began = performance.now();
  const received = new Promise<void>((resolve, reject) =>
    server.once('connection', socket => pipeline(socket, createWriteStream(to)).then(resolve, reject)),
  );
  await pipeline(createReadStream(from), connect((server.address() as AddressInfo).port, '127.0.0.1'));
  await received;
  server.close();
  return performance.now() - began;
}

/** Output far beyond its cap, then a file of `mib` MiB in and out again: how fast, and how much memory it took. */
export async function largeStreams(mib: number): Promise<Figure[]> {
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-bench-'));
  const net = await Devnet.start(2);
  try {
    const requester = net.daemons[1] as DaemonProcess;
    const small = { cpu_cores: 1, memory_mb: 64, avoid: ['self' as const] };
    for (let i = 0; i < 5; i++) await run(requester, { ...small, code: 'print("x" * 1000000)' });
    const flood = await growth(net.daemons, async () => {
      const { state } = await run(requester, { ...small, code: FLOOD });
      if (state !== 'TASK_OUTPUT_LIMIT') throw new Error(`the flood ended ${state}`);
    });

    const path = join(dir, 'large.bin');
    const file = await open(path, 'w');
    for (let i = 0; i < mib; i++) await file.write(Buffer.alloc(MIB, i));
    await file.close();
    const baseMs = await socketCopyMs(path, join(dir, 'copy.bin'));
    const { body: blob } = await requester.client.putBlob({ body: createReadStream(path) });
    if (blob.size !== (await stat(path)).size) throw new Error('the upload is not whole');
    let [inMs, outMs] = [0, 0];
    const files = await growth(net.daemons, async () => {
      const inputs = [{ target: 'inputs/large.bin', cid: blob.cid }];
      const room = { memory_mb: mib + 128, disk_mb: Math.min(1024, mib + 8), max_output_mb: mib };
      const { state, at } = await run(requester, { ...small, ...room, code: COPY, inputs });
      if (state !== 'completed') throw new Error(`the copy ended ${state}`);
      inMs = at('executing') - at('staging');
      outMs = at('verifying') - at('collecting');
    });
    console.error(
      `${mib} MiB: socket ${baseMs.toFixed(0)} ms, input ${inMs} ms, output ${outMs} ms; RSS +${files.toFixed(0)} MiB, flood +${flood.toFixed(1)} MiB`,
    );
    return [
      figure('growth of a daemon’s RSS over 100 MB of output through its cap', flood, 20, 'MB'),
      figure(
        `time of a ${mib} MiB input, against a bare socket from file to file`,
        inMs / baseMs,
        3.3,
        'ratio',
      ),
      figure(`growth of a daemon’s RSS over ${mib} MiB in and out`, files, 128, 'MB'),
    ];
  } finally {
    await net.stop();
    await rm(dir, { recursive: true, force: true });
  }
}
