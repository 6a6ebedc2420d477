import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { runCli, withDir } from './support.ts';

const test = suite('cli: configuration');

/** As printed in the seed document. */
const SEED = `# Engine settings
engine:
  max_concurrent_tasks: 10
  scheduling_interval: 5.0
  result_verification: true
  automatic_payments: true

# Sandbox configuration
sandbox:
  runtime: "docker"  # docker, native, container
  memory_limit_mb: 512
  cpu_limit: 1.0
  timeout_seconds: 300
  base_image: "python:3.9-slim"

# API configuration
api:
  host: "0.0.0.0"
  port: 8001
  enable_cors: true
`;

function show(dir: string, args: string[] = [], env: Record<string, string> = {}) {
  return runCli(['config', 'show', ...args], { env: { DUXNODE_DATA: dir, ...env } });
}

test('the seed’s block works as printed', () =>
  withDir(async dir => {
    const file = join(dir, 'seed.yaml');
    await writeFile(file, SEED);
    const { code, out } = await show(dir, ['--config', file]);
    assert.is(code, 0);
    const config = parse(out);
    assert.is(config.api.host, '0.0.0.0');
    assert.is(config.sandbox.base_image, 'python:3.9-slim');
    assert.is(config.api.tokenless_daily_limit, '100');
  }));

test('flag over environment over file over default', () =>
  withDir(async dir => {
    const portOf = async (args: string[], env: Record<string, string> = {}) =>
      parse((await show(dir, args, env)).out).api.port;
    assert.is(await portOf([]), 8001);
    await writeFile(join(dir, 'config.yaml'), 'api: {port: 9001}\n');
    assert.is(await portOf([]), 9001);
    assert.is(await portOf([], { DUXNODE_API_PORT: '9002' }), 9002);
    assert.is(await portOf(['--api-port', '9003'], { DUXNODE_API_PORT: '9002' }), 9003);
    const { network, worker } = parse((await show(dir, ['--open', '--name', 'mine', '--no-worker'])).out);
    assert.equal([network.membership, network.name, worker.enabled], ['open', 'mine', false]);
  }));

test('a wrong key, type or value is one line with its place, exit code 2, and no daemon', () =>
  withDir(async dir => {
    const file = join(dir, 'bad.yaml');
    const table: [string, RegExp][] = [
      ['engine:\n  max_tasks: 1\n', /bad\.yaml:2:3: .*max_tasks/],
      ['api:\n  port: many\n', /bad\.yaml:2:\d+: .*port/],
      ['api:\n  port: 70000\n', /bad\.yaml:2:\d+: .*port/],
      ['colour: red\n', /bad\.yaml:1:1: .*colour/],
      ['sandbox:\n  runtime: "magic"\n', /bad\.yaml:2:\d+: .*runtime/],
      ['engine: [1\n', /bad\.yaml:\d+:\d+: /],
    ];
    for (const [text, line] of table) {
      await writeFile(file, text);
      const data = join(dir, 'data');
      const { code, err } = await runCli(['start', '--config', file, '--data', data]);
      assert.is(code, 2, text);
      assert.match(err, line);
      assert.is(err.trim().split('\n').length, 1, err);
    }
    assert.not((await readdir(dir)).includes('data'));
    const { code, err } = await show(dir, [], { DUXNODE_API_PORT: 'many' });
    assert.is(code, 2);
    assert.match(err, /DUXNODE_API_PORT/);
    assert.is((await show(dir, ['--config', join(dir, 'none.yaml')])).code, 2);
  }));

test.run();
