import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { PullProgress } from '../../src/sandbox/index.ts';
import { codeOf } from '../../src/util/index.ts';
import { rejection } from '../sandbox/conformance.ts';
import { createRegistry, type Registry } from './registry.ts';
import { docker, withDocker } from './support.ts';

const test = suite('docker: pull');

async function withRegistry(body: (registry: Registry) => Promise<void>): Promise<void> {
  const registry = await createRegistry();
  try {
    await body(registry);
  } finally {
    await registry.close();
  }
}

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
    registry.stall();
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
