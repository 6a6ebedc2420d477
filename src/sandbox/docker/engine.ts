import type Docker from 'dockerode';
import {
  type Abortable,
  type Clock,
  CodedError,
  codeOf,
  type Logger,
  messageOf,
  withDeadline,
} from '../../util/index.ts';
import { unavailable } from '../errors.ts';
import type { ExecutorStatus } from '../interface.ts';
import type { DockerOptions } from '../options.ts';

/** What is asked of the engine's machine, known once it answered. */
export interface EngineFacts {
  readonly milliCpus: number;
  readonly memoryBytes: number;
  /** OCI runtimes by name. */
  readonly runtimes: readonly string[];
}

export interface Engine {
  start(): Promise<void>;
  stop(): void;
  status(): ExecutorStatus;
  facts(): EngineFacts;
  probe(options?: Abortable): Promise<ExecutorStatus>;
  /**
   * One call to the engine. Throws `SANDBOX_UNAVAILABLE` when it is away or does not answer in time, else lets the
   * engine's own refusal through (see `statusOf`).
   */
  call<T>(what: string, fn: (docker: Docker) => Promise<T>, options?: CallOptions): Promise<T>;
}

export interface CallOptions extends Abortable {
  /** Default: the option `callTimeoutMs`. */
  readonly timeoutMs?: number;
}

export interface EngineComponents {
  readonly logger: Logger;
  readonly clock: Clock;
  /** Called each time the engine answers after it did not, and at each later look. */
  readonly onUp: (wasDown: boolean) => void;
}

/** What is read of the engine's `GET /info`. */
interface EngineInfo {
  readonly ServerVersion: string;
  readonly NCPU: number;
  readonly MemTotal: number;
  readonly OSType: string;
  readonly Runtimes?: Readonly<Record<string, unknown>>;
}

/** How a call ends when there is no engine to answer it; anything else is an answer. */
const AWAY = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EACCES', 'EPERM', 'TIMEOUT']);

/** The HTTP status of an engine's refusal, undefined for any other error. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number'
    ? error.statusCode
    : undefined;
}

function reasonFor(error: unknown, socketPath: string): string {
  switch (codeOf(error)) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return `no Docker engine answers on ${socketPath}: start Docker (scripts/docker-engine.sh does), or install bubblewrap and start the node again`;
    case 'EACCES':
    case 'EPERM':
      return `this user may not use ${socketPath}: add it to the group 'docker' and log in again`;
    default:
      return `the Docker engine on ${socketPath} went away: ${messageOf(error)}`;
  }
}

const noRuntime = (name: string): string =>
  name === 'runsc'
    ? 'the Docker engine does not have gVisor (runtime runsc): scripts/runsc.sh installs it'
    : `the Docker engine has no runtime ${name}: add it to /etc/docker/daemon.json`;

/** The connection to one Docker engine: notices when it goes, looks for it until it is back. */
export function createEngine(components: EngineComponents, options: DockerOptions): Engine {
  const { logger, clock, onUp } = components;
  let docker: Docker | undefined;
  let status: ExecutorStatus = { available: false, version: null, reason: 'it was not started yet' };
  let facts: EngineFacts = { milliCpus: 0, memoryBytes: 0, runtimes: [] };
  let cancelProbe = () => {};
  let stopped = true;

  function schedule(): void {
    cancelProbe();
    if (stopped) return;
    cancelProbe = clock.after(status.available ? options.probeUpMs : options.probeDownMs, () => void probe());
  }

  function markDown(reason: string): void {
    if (status.available || status.version !== null) logger.warn({ reason }, 'the Docker engine is away');
    status = { available: false, version: null, reason };
    schedule();
  }

  async function call<T>(
    what: string,
    fn: (docker: Docker) => Promise<T>,
    init: CallOptions = {},
  ): Promise<T> {
    if (!docker) throw unavailable(status.reason ?? 'it was stopped');
    const { timeoutMs = options.callTimeoutMs, signal } = init;
    const engine = docker;
    try {
      return await withDeadline(timeoutMs, what, () => fn(engine), { signal, clock });
    } catch (error) {
      if (signal?.aborted || !AWAY.has(codeOf(error))) throw error;
      const reason = reasonFor(error, options.socketPath);
      markDown(reason);
      throw unavailable(reason, { cause: error });
    }
  }

  async function probe({ signal }: Abortable = {}): Promise<ExecutorStatus> {
    const wasDown = !status.available;
    try {
      const info: EngineInfo = await call('asking the engine for its facts', engine => engine.info(), {
        signal,
        timeoutMs: Math.min(5_000, options.callTimeoutMs),
      });
      if (info.OSType !== 'linux') throw unavailable(`the engine runs ${info.OSType} containers, not linux`);
      const runtimes = Object.keys(info.Runtimes ?? {});
      if (options.runtime !== undefined && !runtimes.includes(options.runtime))
        throw unavailable(noRuntime(options.runtime));
      facts = {
        milliCpus: info.NCPU * 1000,
        memoryBytes: info.MemTotal,
        runtimes,
      };
      status = { available: true, version: info.ServerVersion, reason: null };
      if (wasDown) logger.info({ version: info.ServerVersion }, 'the Docker engine is there');
      onUp(wasDown);
    } catch (error) {
      if (signal?.aborted) throw error;
      if (status.available) markDown(messageOf(error));
      else if (!docker) return status;
      else status = { available: false, version: null, reason: reasonOf(error) };
    }
    schedule();
    return status;
  }

  return {
    async start() {
      stopped = false;
      // Loaded here, as it takes 0.3 s and 20 MB, which a node that only submits need not pay.
      const { default: Client } = await import('dockerode');
      docker = new Client({ socketPath: options.socketPath });
      await probe();
    },
    stop() {
      stopped = true;
      cancelProbe();
      docker = undefined;
      status = { available: false, version: null, reason: 'it was stopped' };
    },
    status: () => status,
    facts: () => facts,
    probe,
    call,
  };
}

function reasonOf(error: unknown): string {
  return error instanceof CodedError && typeof error.type.reason === 'string'
    ? error.type.reason
    : messageOf(error);
}
