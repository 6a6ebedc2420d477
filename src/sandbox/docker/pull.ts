import { type Abortable, type Clock, CodedError, messageOf, reasonOf } from '../../util/index.ts';
import { imageUnknown, pullFailed } from '../errors.ts';
import type { PullProgress } from '../interface.ts';
import type { DockerOptions } from '../options.ts';
import { type Engine, statusOf } from './engine.ts';

/** One line of the engine's answer to a pull. */
interface PullEvent {
  readonly id?: string;
  readonly status?: string;
  readonly error?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
}

interface PullOptions extends Abortable {
  readonly onProgress?: ((progress: PullProgress) => void) | undefined;
}

/** Layers that are added up for the fraction; an image may have 127. */
const MAX_LAYERS = 256;
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
    const progress = createProgress(onProgress);
    for await (const event of eventsOf(stream as AsyncIterable<Buffer>)) {
      watch.moved();
      if (event.error) throw new Error(event.error);
      progress(event);
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

function createProgress(onProgress: ((progress: PullProgress) => void) | undefined) {
  const layers = new Map<string, { current: number; total: number }>();
  return ({ id, status, progressDetail }: PullEvent) => {
    if (!onProgress) return;
    const { current, total } = progressDetail ?? {};
    if (id && current !== undefined && total && (layers.has(id) || layers.size < MAX_LAYERS))
      layers.set(id, { current, total });
    const sums = [...layers.values()].reduce(
      (sum, layer) => ({ current: sum.current + layer.current, total: sum.total + layer.total }),
      { current: 0, total: 0 },
    );
    const fraction = sums.total > 0 ? Math.min(1, sums.current / sums.total) : null;
    onProgress({ fraction, text: [id, status].filter(Boolean).join(': ').slice(0, 200) });
  };
}
