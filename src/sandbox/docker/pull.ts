import { type Abortable, type Clock, CodedError, messageOf, reasonOf } from '../../util/index.ts';
import { imageUnknown, pullFailed } from '../errors.ts';
import type { PullProgress } from '../interface.ts';
import type { DockerOptions } from '../options.ts';
import { type Engine, statusOf } from './engine.ts';
import { createPullProgress, type PullEvent } from './pull-progress.ts';

interface PullOptions extends Abortable {
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
}

/** How registries word it when there is no such image, or none for this user. */
const UNKNOWN = /manifest unknown|not found|does not exist|access denied|unauthorized|no matching manifest/i;

/**
 * Pulls `ref` from its registry. Throws `IMAGE_UNKNOWN` where the registry says that there is none, `IMAGE_PULL_FAILED`
 * for anything that another machine may do better (no registry reachable, no space, no progress for too long).
 */
export async function pullImage(
  components: { readonly engine: Engine; readonly clock: Clock },
  options: DockerOptions,
  ref: string,
  { signal, onProgress }: PullOptions,
): Promise<void> {
  const stop = new AbortController();
  const watch = watchTime(components.clock, options, stop);
  const onAbort = () => stop.abort(reasonOf(signal as AbortSignal));
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const stream = await components.engine.call(
      `pulling ${ref}`,
      docker => docker.pull(ref, { abortSignal: stop.signal }),
      { signal: stop.signal, timeoutMs: options.pullTimeoutMs },
    );
    const progress = createPullProgress();
    for await (const event of eventsOf(stream as AsyncIterable<Buffer>)) {
      watch.moved();
      if (event.error) throw new Error(event.error);
      onProgress?.(progress(event));
    }
    stop.signal.throwIfAborted();
  } catch (error) {
    signal?.throwIfAborted();
    throw pullError(ref, stop.signal.aborted ? reasonOf(stop.signal) : error);
  } finally {
    watch.end();
    signal?.removeEventListener('abort', onAbort);
  }
}

function pullError(ref: string, error: unknown): Error {
  if (error instanceof CodedError) return error;
  const reason = messageOf(error)
    .replace(/^\(HTTP code \d+\) [\w ]+ - /, '')
    .trim();
  const status = statusOf(error);
  const unknown = status === 404 || status === 400 || UNKNOWN.test(reason);
  return unknown ? imageUnknown(ref, reason) : pullFailed(ref, reason, { cause: error });
}

/** Aborts `stop` when the pull takes too long or stands still. */
function watchTime(clock: Clock, options: DockerOptions, stop: AbortController) {
  const giveUp = (ms: number, what: string) =>
    clock.after(ms, () => stop.abort(new Error(`the registry ${what} for ${ms / 1000} s`)));
  const cancelWhole = giveUp(options.pullTimeoutMs, 'has been sending it');
  let cancelStall = giveUp(options.pullStallMs, 'sent nothing');
  return {
    moved() {
      cancelStall();
      cancelStall = giveUp(options.pullStallMs, 'sent nothing');
    },
    end() {
      cancelWhole();
      cancelStall();
    },
  };
}

/** A line longer than this is not an engine's. */
const MAX_LINE = 64 * 1024;

async function* eventsOf(stream: AsyncIterable<Buffer>): AsyncGenerator<PullEvent> {
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE) throw new Error('the engine tells of the pull in a way that cannot be read');
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line) as PullEvent;
  }
  if (rest.trim() !== '') yield JSON.parse(rest) as PullEvent;
}
