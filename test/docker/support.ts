import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import Docker from 'dockerode';
import * as tar from 'tar-stream';
import * as assert from 'uvu/assert';
import {
  createDockerExecutor,
  type DockerExecutorComponents,
  type DockerExecutorInit,
  type Executor,
  socketPathFrom,
} from '../../src/sandbox/index.ts';
import { silentLogger } from '../../src/util/index.ts';
import { keepAliveClock } from '../sandbox/clock.ts';
import type { Subject } from '../sandbox/conformance.ts';

export const IMAGE = 'python:3.9-slim';
export const socketPath = socketPathFrom(process.env);
/** The engine itself, to look at what the executor made of it. */
export const docker = new Docker({ socketPath });

export const containersOf = (owner: string, engine = docker) =>
  engine.listContainers({ all: true, filters: { label: [`duxnode.owner=${owner}`] } });

/** What a test of gVisor says where the engine lacks it; undefined where it is there. */
export async function withoutGvisor(): Promise<string | undefined> {
  const { Runtimes } = await docker.info();
  return 'runsc' in Runtimes ? undefined : 'the engine does not have gVisor: run scripts/runsc.sh';
}

/** A started executor with an owner of its own: other daemons and tests share the engine. */
export async function dockerSubject(
  init: Partial<DockerExecutorInit> = {},
  parts: Partial<DockerExecutorComponents> = {},
): Promise<Subject & { owner: string }> {
  const owner = init.owner ?? `test-${randomUUID()}`;
  const executor = createDockerExecutor(
    { logger: silentLogger, clock: keepAliveClock, ...parts },
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
  parts: Partial<DockerExecutorComponents> = {},
): Promise<void> {
  const subject = await dockerSubject(init, parts);
  try {
    await body(subject.executor, subject.owner);
  } finally {
    await subject.executor.stop();
  }
  await subject.leavesNothing();
}

/** Looks every 20 ms until `fn` is true; fails after `limitMs`. */
export async function until(
  what: string,
  fn: () => boolean | Promise<boolean>,
  limitMs = 20_000,
): Promise<void> {
  const end = Date.now() + limitMs;
  while (!(await fn())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${limitMs} ms`);
    await sleep(20);
  }
}

/** Builds an image from the base image for one test, and removes it afterwards. */
export async function withImage(
  dockerfile: string,
  files: Readonly<Record<string, string>>,
  body: (ref: string) => Promise<void>,
): Promise<void> {
  const ref = `duxnode-test/${randomUUID()}:1`;
  const context = tar.pack();
  context.entry({ name: 'Dockerfile' }, dockerfile);
  for (const [name, text] of Object.entries(files)) context.entry({ name, mode: 0o755 }, text);
  context.finalize();
  const log = await docker.buildImage(Readable.from(context), { t: ref, networkmode: 'none', forcerm: true });
  let told = '';
  for await (const chunk of log) told += chunk;
  assert.not.match(told, /"error"/);
  try {
    await body(ref);
  } finally {
    await docker.getImage(ref).remove({ force: true });
  }
}
