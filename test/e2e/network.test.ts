import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { completed, ended, submit, taskBody, withDevnet } from '../fixtures/processes.ts';

const test = suite('e2e: tasks with a network');

const ASK = `
import urllib.error, urllib.request
try:
    urllib.request.urlopen('http://127.0.0.1:1/')
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())`;

test('a task with allowed hosts goes where the operator lets to them, and asks a proxy there', () =>
  withDevnet(1, async net => {
    const lending = await net.add({ settings: { 'worker.allowed_hosts': '["127.0.0.1:1"]' } });
    await net.ready();
    const [first] = net.daemons;
    assert.ok(first);
    // what the lists allow, the rule for addresses still refuses: it is the proxy's own word
    const task = taskBody(ASK, {
      network: { allow: ['127.0.0.1:1'] },
      env: { NO_PROXY: '', no_proxy: '' },
    });
    const done = await completed(first, await submit(first, task));
    assert.is(done.worker, await lending.peer());
    assert.is(
      done.stdout,
      '403 this task may not reach 127.0.0.1: 127.0.0.1 is not a public address (loopback)\n\n',
    );

    const other = await submit(first, taskBody(ASK, { network: { allow: ['other.test'] }, retries: 0 }));
    const { status, error } = await ended(first.client, other);
    assert.is(status, 'failed');
    assert.is(error?.code, 'NO_WORKER_FITS');
    assert.match(error?.message ?? '', /NO_NETWORK: lets no task reach other\.test/);
    assert.match(error?.message ?? '', /NO_NETWORK: lets no task reach any host/);
  }));

test.run();
