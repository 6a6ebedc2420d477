import type { Clock, Logger, Metrics } from '../util/index.ts';
import type { Disks } from './disks.ts';
import { createDockerExecutor, type DockerExecutorInit } from './docker/executor.ts';
import { dockerAnswers } from './docker/ping.ts';
import type { Egress } from './egress/egress.ts';
import type { Executor, ImageJournal } from './interface.ts';
import { createNativeExecutor, type NativeExecutorInit } from './native/executor.ts';

export interface ChoiceComponents {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly journal?: ImageJournal;
  readonly egress?: Egress | undefined;
  readonly disks?: Disks | undefined;
}

export interface Choice {
  /** `docker`: native where no engine answers. `native`: native, whatever else is there. */
  readonly wanted: 'docker' | 'native';
  readonly owner: string;
  readonly docker: Omit<DockerExecutorInit, 'owner'> & { readonly socketPath: string };
  readonly native: Omit<NativeExecutorInit, 'owner'>;
}

/**
 * The executor that a node runs its tasks with, chosen once, at its start. There is no third way: with neither, the node
 * takes no tasks until an engine answers, and its executor's status says what to do.
 */
export async function chooseExecutor(
  components: ChoiceComponents,
  { wanted, owner, docker, native }: Choice,
): Promise<Executor> {
  const { logger } = components;
  const createNative = () => createNativeExecutor(components, { ...native, owner });
  const { socketPath } = docker;
  if (wanted === 'native') return createNative();
  if (!(await dockerAnswers(socketPath))) {
    const instead = createNative();
    await instead.start();
    const { available, reason } = instead.status();
    if (available) {
      logger.warn({ socketPath }, 'no Docker engine answers: tasks run natively, in bubblewrap');
      return instead;
    }
    await instead.stop();
    logger.warn(
      { socketPath, native: reason },
      'neither Docker nor bubblewrap can be used: this node takes no tasks, but it can submit',
    );
  }
  return createDockerExecutor(components, { ...docker, owner });
}
