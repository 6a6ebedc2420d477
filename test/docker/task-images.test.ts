import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { statusOf } from '../../src/sandbox/docker/engine.ts';
import { createDockerExecutor } from '../../src/sandbox/index.ts';
import { silentLogger } from '../../src/util/index.ts';
import { attestationKind, open } from '../../src/wire/index.ts';
import { type MovableClock, movableClock } from '../fixtures/movable-clock.ts';
import { ended, TestNet, type TestNodeInit, taskRequest } from '../fixtures/nodes.ts';
import { waitFor } from '../fixtures/wait.ts';
import { keepAliveClock } from '../sandbox/clock.ts';
import { withRegistry } from './registry.ts';
import { docker, IMAGE, socketPath } from './support.ts';

const test = suite('docker: a task’s image, through the market');

/** Two nodes; the second works on the real engine. */
async function withWorker(
  worker: TestNodeInit['market'],
  body: (net: TestNet, clock: MovableClock) => Promise<void>,
): Promise<void> {
  const clock = { ...movableClock(), after: keepAliveClock.after };
  const net = await TestNet.start([
    { market: { workerEnabled: false } },
    {
      market: worker ?? {},
      executor: (owner, journal) =>
        createDockerExecutor({ logger: silentLogger, clock, journal }, { socketPath, owner }),
    },
  ]);
  try {
    await body(net, clock);
  } finally {
    await net.stop();
  }
}

const withImage = (image: string, argv?: readonly string[]) => {
  const { spec, policy } = taskRequest({ retries: 0 });
  return { policy, spec: { ...spec, image, ...(argv && { program: { argv: [...argv] } }) } };
};

const removeIfThere = (ref: string) =>
  docker
    .getImage(ref)
    .remove({ force: true })
    .catch((error: unknown) => assert.is(statusOf(error), 404));

test('a pinned image runs, its digest is in the signed attestation; one that is not is refused with the reason', () =>
  withWorker({ imagePolicy: { allowed: null, requireDigest: true } }, async net => {
    const [{ market }] = net.nodes as [TestNet['nodes'][0]];
    const { Id: id } = await docker.getImage(IMAGE).inspect();
    const pinned = await market.tasks.submit(withImage(`python@${id}`));
    assert.is((await ended(net.nodes[0]!, pinned.taskId)).state, 'completed');
    const result = await market.tasks.result(pinned.taskId);
    assert.is(result.imageDigest, id);
    assert.is(open(attestationKind, result.attestation).body.imageDigest, id);

    const named = await market.tasks.submit(withImage(IMAGE));
    let reason = '';
    await waitFor(
      async () => {
        const { attempts } = await market.tasks.get(named.taskId);
        const bid = attempts
          .flatMap(({ bids }) => bids)
          .find(({ refusal }) => refusal?.code === 'IMAGE_POLICY');
        reason = bid?.refusal?.reason ?? '';
        return reason !== '';
      },
      'the refusal',
      30_000,
    );
    assert.match(reason, /by digest \(name@sha256:…\), not python:3\.9-slim$/);
  }));

test('while an image is pulled its task says so, with per cent', () =>
  withRegistry(
    registry =>
      withWorker({}, async net => {
        const [{ market }] = net.nodes as [TestNet['nodes'][0]];
        const ref = `${registry.host}/large:1`;
        registry.hold();
        try {
          const task = await market.tasks.submit(withImage(ref, ['x']));
          let percent = 0;
          await waitFor(
            async () => {
              const { phase, progress } = await market.tasks.get(task.taskId);
              percent = (phase === 'pulling' && progress) || 0;
              return percent > 0;
            },
            'per cent of the pull',
            30_000,
          );
          assert.ok(percent < 60, `${percent} % of what is half there`);
          registry.release();
          const { failure, phases } = await ended(net.nodes[0]!, task.taskId);
          // there is nothing in it to run
          assert.equal([failure?.class, typeof phases.pulling], ['user', 'number']);
        } finally {
          registry.release();
          await removeIfThere(ref);
        }
      }),
    { 'large:1': [4_000_000] },
  ));

test('a node that starts again still knows what its tasks had it pull, and removes that in time', () =>
  withRegistry(registry =>
    withWorker({}, async (net, clock) => {
      const { tasks } = net.nodes[0]!.market;
      const ref = `${registry.host}/small:1`;
      try {
        const { taskId } = await tasks.submit(withImage(ref, ['x']));
        await ended(net.nodes[0]!, taskId);
        await net.nodes[1]!.stop();
        const again = await net.restart(1);
        assert.equal(await again.executor.prune({ all: false }), []);
        clock.jump(15 * 86_400_000);
        assert.equal(
          (await again.executor.prune({ all: false })).map(image => image.ref),
          [ref],
        );
        const gone = await docker.getImage(ref).inspect().catch(statusOf);
        assert.is(gone, 404);
      } finally {
        await removeIfThere(ref);
      }
    }),
  ));

test.run();
