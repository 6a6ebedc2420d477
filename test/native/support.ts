import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import {
  createNativeExecutor,
  type Executor,
  imagesDirFrom,
  type NativeExecutorComponents,
  type NativeExecutorInit,
} from '../../src/sandbox/index.ts';
import { codeOf, silentLogger } from '../../src/util/index.ts';
import { keepAliveClock } from '../sandbox/clock.ts';
import type { Subject } from '../sandbox/conformance.ts';

export const IMAGE = 'python:3.9-slim';
export const imagesDir = imagesDirFrom(process.env);

/** Where control groups of daemons are, in any hierarchy. */
const PLACES = ['memory', 'pids', 'cpu', 'cpuacct', 'unified', '.'].map(name =>
  join('/sys/fs/cgroup', name, 'duxnode'),
);

/** Control groups of `owner` on this machine. */
export async function groupsOf(owner: string): Promise<string[]> {
  const found = await Promise.all(PLACES.map(place => namesIn(join(place, owner))));
  return found.flat();
}

async function ownersIn(): Promise<string[]> {
  return (await Promise.all(PLACES.map(namesIn))).flat();
}

export async function namesIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter(entry => entry.isDirectory()).map(entry => entry.name);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Unpacked images are shared by the subjects of one test file. */
let shared: string | undefined;

export async function nativeSubject(
  init: Partial<NativeExecutorInit> = {},
  { weaken }: Pick<NativeExecutorComponents, 'weaken'> = {},
): Promise<Subject & { owner: string; stateDir: string }> {
  const owner = init.owner ?? `test-${randomUUID()}`;
  const made = shared === undefined;
  shared ??= await mkdtemp(join(tmpdir(), 'duxnode-native-'));
  if (made) process.once('beforeExit', removeShared);
  const stateDir = init.stateDir ?? shared;
  const executor = createNativeExecutor(
    { logger: silentLogger, clock: keepAliveClock, ...(weaken ? { weaken } : {}) },
    { imagesDir, stateDir, ...init, owner },
  );
  await executor.start();
  return {
    owner,
    stateDir,
    executor,
    image: IMAGE,
    async leavesNothing() {
      assert.equal(await groupsOf(owner), []);
      assert.not((await ownersIn()).includes(owner), 'the folder of its groups');
      assert.equal(await namesIn(join(stateDir, 'boxes')), []);
    },
  };
}

async function removeShared(): Promise<void> {
  const folder = shared;
  shared = undefined;
  if (folder) await rm(folder, { recursive: true, force: true });
}

/** Runs `body` with an executor and stops that in any case, having seen that nothing is left. */
export async function withNative(
  body: (executor: Executor, owner: string) => Promise<void>,
  init: Partial<NativeExecutorInit> = {},
): Promise<void> {
  const subject = await nativeSubject(init);
  try {
    await body(subject.executor, subject.owner);
  } finally {
    await subject.executor.stop();
  }
  await subject.leavesNothing();
}
