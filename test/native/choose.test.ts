import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Choice, chooseExecutor, type Executor } from '../../src/sandbox/index.ts';
import { type Logger, noMetrics, silentLogger } from '../../src/util/index.ts';
import { socketPath } from '../docker/support.ts';
import { keepAliveClock } from '../sandbox/clock.ts';
import { imagesDir } from './support.ts';

const test = suite('native: choice of the runtime');
const NOWHERE = '/nonexistent/docker.sock';

/** The chosen executor, started, and what the log was warned of. */
async function chosen(
  wanted: Choice['wanted'],
  socket: string,
  body: (executor: Executor, warnings: string[]) => Promise<void>,
): Promise<void> {
  const stateDir = await mkdtemp(join(tmpdir(), 'duxnode-native-choice-'));
  const warnings: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (_facts, message) => void warnings.push(String(message)) };
  const executor = await chooseExecutor(
    { logger, clock: keepAliveClock, metrics: noMetrics },
    {
      wanted,
      owner: `test-choice-${process.pid}`,
      docker: { socketPath: socket },
      native: { stateDir, imagesDir },
    },
  );
  try {
    await executor.start();
    await body(executor, warnings);
  } finally {
    await executor.stop();
    await rm(stateDir, { recursive: true, force: true });
  }
}

test('Docker where it answers, without a word', () =>
  chosen('docker', socketPath, async (executor, warnings) => {
    assert.is(executor.runtime, 'docker');
    assert.is(executor.status().available, true);
    assert.equal(warnings, []);
  }));

test('native where no engine answers, said aloud', () =>
  chosen('docker', NOWHERE, async (executor, warnings) => {
    assert.is(executor.runtime, 'native');
    assert.is(executor.status().available, true);
    assert.match(warnings.join('\n'), /no Docker engine answers: tasks run natively/);
  }));

test('native when it is wanted, though an engine answers', () =>
  chosen('native', socketPath, async executor => {
    assert.is(executor.runtime, 'native');
  }));

test('neither: no tasks, and what to install', async () => {
  const { PATH } = process.env;
  process.env.PATH = '/nonexistent';
  try {
    await chosen('docker', NOWHERE, async (executor, warnings) => {
      const { available, reason } = executor.status();
      assert.is(available, false);
      assert.match(reason ?? '', /start Docker .* or install bubblewrap/);
      assert.match(warnings.join('\n'), /takes no tasks/);
    });
    await chosen('native', socketPath, async executor => {
      assert.is(executor.status().available, false);
      assert.match(executor.status().reason ?? '', /apt-get install bubblewrap/);
    });
  } finally {
    process.env.PATH = PATH;
  }
});

test.run();
