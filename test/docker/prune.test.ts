import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { statusOf } from '../../src/sandbox/docker/engine.ts';
import type { BroughtImage, Executor, ImageJournal } from '../../src/sandbox/index.ts';
import { movableClock } from '../fixtures/movable-clock.ts';
import { taskOf } from '../sandbox/conformance.ts';
import { type Registry, withRegistry } from './registry.ts';
import { docker, until, withDocker } from './support.ts';

const test = suite('docker: prune');
const DAY_MS = 86_400_000;
const ALL = { all: true };
const OLD = { all: false };

async function isHere(ref: string): Promise<boolean> {
  try {
    await docker.getImage(ref).inspect();
    return true;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw error;
  }
}

/** As a user would, beside the node. */
async function pullByHand(ref: string): Promise<void> {
  const stream = await docker.pull(ref);
  let told = '';
  for await (const chunk of stream) told += chunk;
  assert.not.match(told, /"error"/);
}

/** Like the node's own, without a disk. */
function memoryJournal(): ImageJournal & { readonly images: Map<string, BroughtImage> } {
  const images = new Map<string, BroughtImage>();
  return {
    images,
    load: async () => [...images.values()],
    save: async image => void images.set(image.ref, image),
    remove: async ({ ref }) => void images.delete(ref),
  };
}

interface Scene {
  readonly registry: Registry;
  readonly executor: Executor;
  readonly clock: ReturnType<typeof movableClock>;
  readonly journal: ReturnType<typeof memoryJournal>;
  /** The names of the registry's images. */
  readonly a: string;
  readonly b: string;
  pull(ref: string): Promise<void>;
}

/** A registry with two images, and a node on the real engine whose time can be moved. Both images are gone afterwards. */
function withScene(
  body: (scene: Scene) => Promise<void>,
  options: { imageDiskShare?: number } = {},
): Promise<void> {
  return withRegistry(
    async registry => {
      const clock = movableClock();
      const journal = memoryJournal();
      const [a, b] = [`${registry.host}/a:1`, `${registry.host}/b:1`];
      try {
        await withDocker(
          executor =>
            body({
              ...{ registry, executor, clock, journal, a, b },
              async pull(ref) {
                await executor.ensureImage(ref, {});
                // takes its turn behind the look that follows each pull: that has seen the time before it is moved
                assert.equal(await executor.prune(OLD), []);
              },
            }),
          options,
          { clock, journal },
        );
      } finally {
        for (const ref of [a, b]) if (await isHere(ref)) await docker.getImage(ref).remove({ force: true });
      }
    },
    { 'a:1': [100_000], 'b:1': [100_000] },
  );
}

test('what nobody used for long goes, and is pulled again when it is asked for', () =>
  withScene(async ({ executor, clock, a, b, pull }) => {
    await pull(a);
    await pull(b);
    clock.jump(13 * DAY_MS);
    assert.equal(await executor.prune(OLD), []);
    await pull(b);
    clock.jump(2 * DAY_MS);
    const [removed, ...more] = await executor.prune(OLD);
    assert.equal([removed?.ref, more.length], [a, 0]);
    assert.ok((removed?.bytes ?? 0) >= 100_000);
    assert.equal([await isHere(a), await isHere(b)], [false, true]);
    await until('the node to know it', () => !executor.hasImage(a));
    await pull(a);
    assert.ok(await isHere(a));
  }));

test('with all every one that it pulled goes, but for those used just now', () =>
  withScene(async ({ executor, clock, journal, a, b, pull }) => {
    await pull(a);
    clock.jump(61_000);
    await pull(b);
    assert.equal(
      (await executor.prune(ALL)).map(({ ref }) => ref),
      [a],
    );
    assert.equal([...journal.images.keys()], [b]);
    clock.jump(61_000);
    assert.is((await executor.prune(ALL)).length, 1);
    assert.equal([await isHere(a), await isHere(b), journal.images.size], [false, false, 0]);
  }));

test('a pull that brings more than the disk’s share makes room, the longest unused first', () =>
  withScene(
    async ({ executor, clock, journal, a, b, pull }) => {
      await pull(a);
      clock.jump(61_000);
      await executor.ensureImage(b, {});
      await until('the first to go', async () => !(await isHere(a)));
      assert.ok(await isHere(b), 'what was just pulled stays');
      await until('that to be noted', () => journal.images.size === 1);
    },
    { imageDiskShare: 1e-12 },
  ));

test('what was there before is never removed: pulled by hand, or under another name', () =>
  withScene(async ({ executor, clock, journal, a, b, pull }) => {
    const other = `${b.replace(':1', '')}-by-hand:1`;
    try {
      await pullByHand(a);
      await pullByHand(b);
      const [repo, tag] = [other.slice(0, -2), '1'];
      await docker.getImage(b).tag({ repo, tag });
      await docker.getImage(b).remove();
      assert.not(await isHere(b));
      await pull(a);
      await pull(b);
      assert.is(journal.images.size, 0);
      clock.jump(100 * DAY_MS);
      assert.equal(await executor.prune(ALL), []);
      assert.equal([await isHere(a), await isHere(b), await isHere(other)], [true, true, true]);
    } finally {
      if (await isHere(other)) await docker.getImage(other).remove();
    }
  }));

test('what a container is made of stays until that is gone', () =>
  withScene(async ({ executor, clock, a, pull }) => {
    await pull(a);
    const prepared = await executor.prepare(taskOf(['x']), await executor.ensureImage(a, {}), {});
    clock.jump(100 * DAY_MS);
    assert.equal(await executor.prune(ALL), []);
    assert.ok(await isHere(a));
    await prepared.discard();
    assert.is((await executor.prune(ALL)).length, 1);
  }));

test('a name that means another image by now is let be', () =>
  withScene(async ({ executor, clock, journal, registry, a, b, pull }) => {
    await pull(a);
    await pullByHand(b);
    await docker.getImage(a).remove();
    await docker.getImage(b).tag({ repo: `${registry.host}/a`, tag: '1' });
    clock.jump(100 * DAY_MS);
    assert.equal(await executor.prune(ALL), []);
    assert.equal([await isHere(a), journal.images.size], [true, 0]);
  }));

test('what was noted of another engine is no word on this one', () =>
  withScene(async ({ clock, journal, a, pull }) => {
    await pull(a);
    const [noted] = [...journal.images.values()];
    assert.ok(noted);
    clock.jump(100 * DAY_MS);
    for (const [engine, removed] of [
      ['elsewhere', 0],
      [noted.engine, 1],
    ] as const) {
      journal.images.set(a, { ...noted, engine });
      await withDocker(
        async again => {
          assert.is((await again.prune(ALL)).length, removed);
        },
        {},
        { clock, journal },
      );
    }
  }));

test('a node that starts again knows what it pulled', () =>
  withScene(async ({ clock, journal, a, pull }) => {
    await pull(a);
    clock.jump(15 * DAY_MS);
    await withDocker(
      async again => {
        assert.is((await again.prune(OLD)).length, 1);
      },
      {},
      { clock, journal },
    );
    assert.not(await isHere(a));
  }));

test('a journal that cannot be written costs no task anything', () =>
  withScene(async ({ a, clock }) => {
    const broken = async () => {
      throw new Error('the disk is full');
    };
    await withDocker(
      async executor => {
        await executor.ensureImage(a, {});
        clock.jump(61_000);
        await executor.ensureImage(a, {});
      },
      {},
      { clock, journal: { load: broken, save: broken, remove: broken } },
    );
  }));

test.run();
