import { type Duplex, Readable, type Writable } from 'node:stream';
import type { Container, ContainerCreateOptions } from 'dockerode';
import { type Clock, CodedError, messageOf, sleep } from '../../util/index.ts';
import { BadProgram, type Box, type ExitState, type Frame } from '../box.ts';
import { failed } from '../errors.ts';
import { demux } from './demux.ts';
import { type Engine, statusOf } from './engine.ts';
import { keptFrames } from './kept-log.ts';

/** After the streams closed the engine needs about 30 ms to note the exit. */
const EXIT_LOOK_MS = 250;
/** A container whose streams are closed but which does not end is killed, then given up. */
const EXIT_LOOKS = 40;
/** While a task runs, a look now and then that the container is still there: `wait` may never settle. */
const ALIVE_LOOK_MS = 5_000;

/** The task is about to be killed: it must not run on for long for the sake of its figures. An idle engine answers in 5 ms, a busy one in 200. */
const USAGE_WAIT_MS = 500;

/** A container that is gone, or already dead, is what kill and remove were asked for. */
async function unlessGone(promise: Promise<unknown>): Promise<void> {
  try {
    await promise;
  } catch (error) {
    const status = statusOf(error);
    if (status !== 404 && status !== 409 && status !== 304) throw error;
  }
}

/** The engine's refusal to start a container for the program that it was given; undefined for any other error. */
function badProgram(error: unknown): BadProgram | undefined {
  const text = messageOf(error);
  const isOne =
    statusOf(error) !== undefined &&
    /executable file not found|no such file or directory|permission denied|exec format error|is a directory/i.test(
      text,
    );
  return isOne ? new BadProgram(/not found|no such file/i.test(text), { cause: error }) : undefined;
}

/** Creates a container and attaches to it, in this order and before any start: output would be lost otherwise. */
export async function createBox(
  components: { readonly engine: Engine; readonly clock: Clock },
  config: ContainerCreateOptions,
): Promise<Box> {
  const { engine } = components;
  const container = await engine.call('creating the sandbox', docker => docker.createContainer(config));
  const stdin = config.OpenStdin === true;
  try {
    const attach = { stream: true, hijack: true, stdin, stdout: true, stderr: true };
    const stream = await engine.call('attaching to the sandbox', () => container.attach(attach));
    const duplex = stream as unknown as Duplex;
    return boxOf(components, container, {
      stream: duplex,
      stdin: duplex,
      frames: demux(duplex),
      isNew: true,
    });
  } catch (error) {
    await unlessGone(engine.call('removing the sandbox', () => container.remove({ force: true, v: true })));
    throw error;
  }
}

/** A container that was started by an earlier process, by all that the engine has kept of its output: it takes no input any more. */
export async function reopenBox(
  components: { readonly engine: Engine; readonly clock: Clock },
  id: string,
): Promise<Box> {
  const { engine } = components;
  const all = { stdout: true, stderr: true };
  return engine.call('taking up the sandbox', async docker => {
    const container = docker.getContainer(id);
    const live = (await container.logs({ ...all, follow: true })) as unknown as Readable;
    const frames = keptFrames({
      live,
      async whole() {
        await container.wait({ condition: 'not-running' });
        const logs = () => container.logs({ ...all, follow: false });
        return Readable.from([await engine.call('reading what the sandbox said', logs)]);
      },
    });
    return boxOf(components, container, { stream: live, frames, isNew: false });
  });
}

interface Ends {
  readonly stream: Readable;
  /** Undefined: what is written goes nowhere. */
  readonly stdin?: Writable;
  readonly frames: AsyncGenerator<Frame, void>;
  /** It was not started yet. */
  readonly isNew: boolean;
}

function boxOf(
  { engine, clock }: { readonly engine: Engine; readonly clock: Clock },
  container: Container,
  { stream, stdin, frames, isNew }: Ends,
): Box {
  const closed = new Promise<void>(resolve => {
    // Without a listener an error would end the process; the close that follows it is what counts.
    stream.on('error', () => resolve());
    stream.on('close', resolve);
    stream.on('end', resolve);
  });
  // `next-exit`: plain `wait` answers 0 at once for a container that was not started yet. Settling is all that counts:
  // a failure is looked into by inspecting.
  const waited = container.wait({ condition: isNew ? 'next-exit' : 'not-running' }).then(
    () => undefined,
    () => undefined,
  );
  const gone = new AbortController();

  const inspect = () => engine.call('looking at the sandbox', () => container.inspect());

  async function lookWhileAlive(): Promise<void> {
    for (;;) {
      await sleep(ALIVE_LOOK_MS, { clock, signal: gone.signal });
      if (!(await inspect()).State.Running) return;
    }
  }

  async function ended(): Promise<ExitState> {
    const alive = lookWhileAlive();
    try {
      await Promise.race([
        waited,
        closed.then(() => Promise.race([waited, sleep(EXIT_LOOK_MS, { clock })])),
        alive,
      ]);
    } finally {
      gone.abort();
    }
    for (let looks = 0; looks < EXIT_LOOKS; looks++) {
      const { State: state } = await inspect();
      if (!state.Running && state.Status !== 'created')
        return {
          exitCode: state.ExitCode,
          oomKilled: state.OOMKilled,
          endedAt: Date.parse(state.FinishedAt),
        };
      if (looks === EXIT_LOOKS / 2) await kill();
      await sleep(EXIT_LOOK_MS, { clock });
    }
    throw failed('the container does not end');
  }

  const kill = () => unlessGone(engine.call('killing the sandbox', () => container.kill()));

  return {
    id: container.id,
    closed,
    async next() {
      try {
        return await frames.next();
      } catch (error) {
        if (error instanceof CodedError) throw error;
        // A connection that breaks is an end like any other: what became of the container is asked afterwards.
        return { done: true, value: undefined };
      }
    },
    async start() {
      try {
        await engine.call('starting the sandbox', () => container.start());
      } catch (error) {
        throw badProgram(error) ?? error;
      }
    },
    async write(bytes) {
      if (!stdin || stdin.destroyed || stdin.write(bytes)) return;
      await Promise.race([new Promise(resolve => stdin.once('drain', resolve)), closed]);
    },
    kill,
    ended,
    async usage() {
      const none = { cpuMs: 0, peakMemoryBytes: 0, memoryBytes: 0 };
      const counted = engine.call('measuring the sandbox', async () => {
        const stats = await container.stats({ stream: false, 'one-shot': true });
        const { usage: memoryBytes = 0, max_usage: peakMemoryBytes = memoryBytes } = stats.memory_stats;
        return { cpuMs: stats.cpu_stats.cpu_usage.total_usage / 1e6, peakMemoryBytes, memoryBytes };
      });
      const orNone = counted.then(
        found => found,
        () => none,
      );
      return Promise.race([orNone, sleep(USAGE_WAIT_MS, { clock }).then(() => none)]);
    },
    async remove() {
      stream.destroy();
      await unlessGone(engine.call('removing the sandbox', () => container.remove({ force: true, v: true })));
    },
  };
}
