import { randomUUID } from 'node:crypto';
import Docker from 'dockerode';
import * as assert from 'uvu/assert';
import {
  createDockerExecutor,
  type DockerExecutorInit,
  type Executor,
  socketPathFrom,
} from '../../src/sandbox/index.ts';
import { silentLogger, systemClock } from '../../src/util/index.ts';
import type { Subject } from '../sandbox/conformance.ts';

export const IMAGE = 'python:3.9-slim';
export const socketPath = socketPathFrom(process.env);
/** The engine itself, to look at what the executor made of it. */
export const docker = new Docker({ socketPath });

export const containersOf = (owner: string, engine = docker) =>
  engine.listContainers({ all: true, filters: { label: [`duxnode.owner=${owner}`] } });

/** A started executor with an owner of its own: other daemons and tests share the engine. */
export async function dockerSubject(
  init: Partial<DockerExecutorInit> = {},
): Promise<Subject & { owner: string }> {
  const owner = init.owner ?? `test-${randomUUID()}`;
  const executor = createDockerExecutor(
    { logger: silentLogger, clock: systemClock },
    { socketPath, ...init, owner },
  );
  await executor.start();
  return {
    owner,
    executor,
    image: IMAGE,
    async leavesNothing() {
      assert.equal(await containersOf(owner), []);
    },
  };
}

/** Runs `body` with an executor and stops that in any case, having seen that nothing is left. */
export async function withDocker(
  body: (executor: Executor, owner: string) => Promise<void>,
  init: Partial<DockerExecutorInit> = {},
): Promise<void> {
  const subject = await dockerSubject(init);
  try {
    await body(subject.executor, subject.owner);
  } finally {
    await subject.executor.stop();
  }
  await subject.leavesNothing();
}
