import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { PullProgress } from '../../src/sandbox/index.ts';
import { codeOf, deferred } from '../../src/util/index.ts';
import { rejection } from '../sandbox/conformance.ts';
import { withRegistry } from './registry.ts';
import { docker, withDocker } from './support.ts';

const test = suite('docker: pull');

test('an image that is not here is pulled, with progress, and known from then on', () =>
  withRegistry(registry =>
    withDocker(async executor => {
      const ref = `${registry.host}/small:1`;
      const seen: PullProgress[] = [];
      assert.is(executor.hasImage(ref), false);
      try {
        const image = await executor.ensureImage(ref, { onProgress: progress => seen.push(progress) });
        assert.match(image.digest, /^sha256:/);
        assert.is(image.architecture, 'amd64');
        assert.is(executor.hasImage(ref), true);
        assert.ok(seen.length > 0);
        assert.ok(seen.every(({ fraction }) => fraction === null || (fraction >= 0 && fraction <= 1)));
        const pulled = seen.length;
        assert.equal(await executor.ensureImage(ref, { onProgress: progress => seen.push(progress) }), image);
        assert.is(seen.length, pulled);
      } finally {
        await docker.getImage(ref).remove({ force: true });
      }
    }),
  ));

test('a pin is pulled by its digest, whatever the tag says, and says which image that is', () =>
  withRegistry(registry =>
    withDocker(async executor => {
      const pinned = `${registry.host}/small@${registry.digestOf('small:1')}`;
      try {
        const image = await executor.ensureImage(pinned.replace('@', ':no-such-tag@'), {});
        const { Id: id, RepoDigests: digests } = await docker.getImage(pinned).inspect();
        assert.equal([image.digest, digests], [id, [pinned]]);
        assert.is((await executor.ensureImage(pinned, {})).digest, id);
        assert.ok(executor.hasImage(pinned));
      } finally {
        await docker.getImage(pinned).remove({ force: true });
      }
    }),
  ));

test('progress is told while it comes, never falls, and is whole at the end', () =>
  withRegistry(
    registry =>
      withDocker(async executor => {
        const ref = `${registry.host}/large:1`;
        registry.hold();
        const seen: (number | null)[] = [];
        const half = deferred<void>();
        try {
          const pulled = executor.ensureImage(ref, {
            onProgress({ fraction }) {
              seen.push(fraction);
              if (fraction !== null && fraction > 0) half.resolve();
            },
          });
          await half.promise;
          assert.ok((seen.at(-1) as number) < 0.6, 'half of each layer is not sent yet');
          registry.release();
          await pulled;
          const told = seen.filter(fraction => fraction !== null);
          assert.equal(
            told,
            [...told].sort((a, b) => a - b),
          );
          assert.is(told.at(-1), 1);
        } finally {
          await docker.getImage(ref).remove({ force: true });
        }
      }),
    { 'large:1': [3_000_000, 3_000_000, 100] },
  ));

test('what the registry does not have is the user’s mistake', () =>
  withRegistry(registry =>
    withDocker(async executor => {
      for (const name of ['small:2', 'other:1', `small@sha256:${'0'.repeat(64)}`])
        assert.is(
          codeOf(await rejection(executor.ensureImage(`${registry.host}/${name}`, {}))),
          'IMAGE_UNKNOWN',
        );
    }),
  ));

test('a registry that stands still is given up, and a pull can be called off', () =>
  withRegistry(async registry => {
    registry.hold();
    const ref = `${registry.host}/small:1`;
    await withDocker(
      async executor => {
        assert.is(codeOf(await rejection(executor.ensureImage(ref, {}))), 'IMAGE_PULL_FAILED');
      },
      { pullStallMs: 300 },
    );
    await withDocker(async executor => {
      const controller = new AbortController();
      const reason = new Error('no longer');
      const onProgress = () => controller.abort(reason);
      assert.is(
        await rejection(executor.ensureImage(ref, { signal: controller.signal, onProgress })),
        reason,
      );
      assert.is(executor.status().available, true);
    });
  }));

test.run();
