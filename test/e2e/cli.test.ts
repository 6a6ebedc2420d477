import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type DaemonProcess, Devnet } from '../fixtures/daemons.ts';
import { auditAndStop, type CommandEnd, command, startCommand } from '../fixtures/processes.ts';
import { waitFor } from '../fixtures/wait.ts';

const test = suite('e2e: the command line');

const lines = (text: string): string[] => text.split('\n').filter(line => line !== '');

/** Fails with all that the command said. */
function assertCode(end: CommandEnd, code: number): CommandEnd {
  assert.is(end.code, code, `${end.stdout}\n${end.stderr}`);
  return end;
}

interface Fixture {
  readonly dir: string;
  /** The founder; pays by itself. */
  readonly auto: DaemonProcess;
  /** Its payments wait for accept. */
  readonly manual: DaemonProcess;
  /** A command for the founder's daemon. */
  on(...argv: string[]): Promise<CommandEnd>;
  onManual(...argv: string[]): Promise<CommandEnd>;
  json<T = Record<string, unknown>>(...argv: string[]): Promise<T>;
}

async function withTwoNodes(body: (fixture: Fixture) => Promise<void>): Promise<void> {
  const net = await Devnet.start(1);
  try {
    const manual = await net.add({ settings: { 'engine.automatic_payments': 'false' } });
    await net.ready();
    const [auto] = net.daemons as [DaemonProcess];
    const at = (daemon: DaemonProcess) => (argv: readonly string[]) =>
      command(argv, { DUXNODE_DATA: daemon.dataDir });
    const json = async (...argv: string[]) =>
      JSON.parse(assertCode(await at(auto)([...argv, '--json']), 0).stdout);
    const on = (...argv: string[]) => at(auto)(argv);
    await body({ dir: net.dir, auto, manual, on, onManual: (...argv) => at(manual)(argv), json });
    await auditAndStop(net);
  } finally {
    await net.stop();
  }
}

const python = (code: string): string[] => ['--', 'python3', '-c', code];

async function runsLikeDocker({ auto, on }: Fixture): Promise<void> {
  const code = 'import sys, time\nprint("first", flush=True)\ntime.sleep(1.5)\nprint("second")\nsys.exit(7)';
  const run = startCommand(['run', '--avoid', 'self', '--pay', '0.5', ...python(code)], {
    DUXNODE_DATA: auto.dataDir,
  });
  // A line may come in more than one piece.
  await waitFor(() => run.stdout().includes('\n'), 'live output', 30_000);
  assert.is(run.stdout(), 'first\n');
  assert.is(run.child.exitCode, null, 'output is live');
  const end = await run.end;
  assertCode(end, 7);
  assert.is(end.stdout, 'first\nsecond\n');
  assert.match(end.stderr, /worker .+ time .+ price .+ receipt: duxnode receipt /);

  const quiet = assertCode(
    await on('run', '-q', '-e', 'NAME=dux', ...python('import os; print(os.environ["NAME"])')),
    0,
  );
  assert.is(quiet.stdout, 'dux\n');
  assert.is(quiet.stderr, '');
}

async function interruptCancels({ auto, on }: Fixture): Promise<void> {
  const code = 'import time\nprint("up", flush=True)\ntime.sleep(60)';
  const run = startCommand(['run', '--avoid', 'self', ...python(code)], { DUXNODE_DATA: auto.dataDir });
  await waitFor(() => run.stdout() !== '', 'the task to run', 30_000);
  run.child.kill('SIGINT');
  const end = assertCode(await run.end, 130);
  const [id = ''] = /bafy\w+/.exec(end.stderr) ?? [];
  assert.match((await on('task', id)).stdout, /status +cancelled/);
}

const TWO_DOCUMENTS = `service_name: one
code: |
  print("one")
payment_amount: 0.1
avoid: [self]
---
service_name: two
code: print("two")
labels: {kind: second}
`;
const LIST = JSON.stringify([{ code: 'print(1)' }, { code: 'raise SystemExit(3)', service_name: 'fails' }]);

async function submitsAndReads({ dir, auto, on, json }: Fixture): Promise<void> {
  const file = join(dir, 'tasks.yaml');
  await writeFile(file, TWO_DOCUMENTS);
  const quoted = lines(assertCode(await on('quote', file), 0).stdout);
  assert.is(quoted.filter(line => /starts in .* % sure$/.test(line)).length, 3, quoted.join('\n'));
  assert.match(assertCode(await on('quote', '--memory', '500g', '--', 'true'), 4).stdout, /TOO_LARGE: lends/);
  const ids = lines(assertCode(await on('submit', file, '--wait'), 0).stdout);
  assert.is(ids.length, 2);
  const [one = '', two = ''] = ids;
  assert.is((await on('result', one)).stdout, 'one\n');
  assert.is((await on('logs', '-f', two)).stdout, 'two\n');
  assert.is((await json('result', two)).status, 'completed');
  assert.is((await json('task', one)).service_name, 'one');
  assert.match((await on('task', one)).stdout, /payment +released 0\.1 FLOP/);
  assert.match((await on('task', one, '--why')).stdout, /why: its bid was the only one\n.*SCORE/);
  assert.equal(lines((await on('tasks', '-q', '--label', 'kind=second')).stdout), [two]);
  const listed = (await json('tasks', '--status', 'completed')).tasks as { task_id: string }[];
  assert.ok([one, two].every(id => listed.some(task => task.task_id === id)));
  assertCode(await on('wait', one, two), 0);

  const fromStdin = await command(['submit', '-', '--wait'], { DUXNODE_DATA: auto.dataDir }, LIST);
  assertCode(fromStdin, 1);
  const failed = lines(fromStdin.stdout)[1] as string;
  assertCode(await on('wait', failed), 1);
  assertCode(await on('result', failed), 1);

  const receipt = join(dir, 'receipt');
  assertCode(await on('receipt', one, '-o', receipt), 0);
  assertCode(await command(['receipt', 'verify', receipt]), 0);
  const report = JSON.parse((await command(['receipt', 'verify', receipt, '--json'])).stdout);
  assert.is(report.receipt.task_id, one);
  const bytes = await readFile(receipt);
  bytes[bytes.length - 20] = (bytes[bytes.length - 20] as number) ^ 1;
  await writeFile(receipt, bytes);
  assertCode(await command(['receipt', 'verify', receipt]), 1);
}

async function runsArrays({ dir, on, json }: Fixture): Promise<void> {
  const code = 'import os, sys; i = os.environ["DUX_ARRAY_INDEX"]; print(i); sys.exit(int(i == "2"))';
  const ran = assertCode(await on('run', '--array', '4', ...python(code)), 1);
  assert.is(ran.stdout, '0\n1\n2\n3\n');
  assert.match(ran.stderr, /element 2: .* exit code 1/);
  const [id = ''] = /bafy\w+/.exec(ran.stderr) ?? [];
  assert.equal(lines((await on('elements', id, '-q', '--status', 'failed')).stdout), ['2']);
  assert.match((await on('task', id)).stdout, /elements +3 of 4 completed, 1 failed/);
  assertCode(await on('retry', id), 0);
  assertCode(await on('wait', id), 1);
  const [element] = await json<{ failures: number }[]>('elements', id, '--status', 'failed');
  assert.is(element?.failures, 2);
  assert.is(assertCode(await on('result', id, '--index', '3'), 0).stdout, '3\n');

  const named = 'import os; open("outputs/n", "w").write(os.environ["x"] + os.environ["y"])';
  const out = join(dir, 'array');
  const matrix = ['--matrix', 'x=a,b', '--matrix', 'y=1,2'];
  assertCode(await on('run', ...matrix, '--out', out, ...python(named)), 0);
  const files = await Promise.all([0, 1, 2, 3].map(index => readFile(join(out, `${index}`, 'n'), 'utf8')));
  assert.equal(files, ['a1', 'a2', 'b1', 'b2']);
}

async function cancelsAndAccepts({ on, onManual }: Fixture): Promise<void> {
  const long = join(tmpdir(), `duxnode-long-${process.pid}.json`);
  await writeFile(long, JSON.stringify({ code: 'import time\ntime.sleep(60)', avoid: ['self'] }));
  const [id = ''] = lines((await on('submit', long)).stdout);
  assert.is(assertCode(await on('cancel', id), 0).stdout, `${id} cancelled\n`);
  assertCode(await on('cancel', id), 1);
  await rm(long);

  const paid = join(tmpdir(), `duxnode-paid-${process.pid}.json`);
  await writeFile(paid, JSON.stringify({ code: 'print("mine")', payment_amount: 0.25, avoid: ['self'] }));
  const [waiting = ''] = lines(assertCode(await onManual('submit', paid), 0).stdout);
  assert.is(assertCode(await onManual('result', '--wait', waiting), 0).stdout, 'mine\n');
  assert.match((await onManual('task', waiting)).stdout, /status +paying \(awaiting_accept\)/);
  assertCode(await onManual('accept', waiting), 0);
  assertCode(await onManual('wait', waiting), 0);
  assert.match((await onManual('task', waiting)).stdout, /payment +released 0\.25 FLOP/);
  assertCode(await onManual('accept', waiting), 1);
  await rm(paid);
}

async function showsTheNode({ auto, manual, on, json }: Fixture): Promise<void> {
  const peer = await auto.peer();
  const [id, status, peers, balance, config] = await Promise.all([
    on('status', '-q'),
    on('status'),
    on('peers', '-q'),
    on('wallet', 'balance', '-q'),
    on('config', 'show'),
  ]);
  assert.is(id.stdout, `${peer}\n`);
  assert.match(status.stdout, /^peer +12D3/);
  assert.equal(lines(peers.stdout), [await manual.peer()]);
  assert.match(balance.stdout, /^\d+(\.\d+)?\n$/);
  assert.match(assertCode(config, 0).stdout, /max_concurrent_tasks: 10/);

  const [node, found, wallet, history, doctor] = await Promise.all([
    json('status'),
    json('peers'),
    json('wallet', 'balance'),
    json('wallet', 'history'),
    on('doctor', '--json'),
  ]);
  assert.is((node.node as { peer_id: string }).peer_id, peer);
  assert.is((found.peers as unknown[]).length, 1);
  assert.is(assertCode(await on('prune', '--all'), 0).stdout, 'freed 0 B\n');
  assert.is(wallet.account, peer);
  assert.ok((history.entries as { kind: string }[]).some(({ kind }) => kind === 'paid'));
  const { findings } = JSON.parse(doctor.stdout) as { findings: { check: string; ok: boolean }[] };
  for (const check of ['node', 'docker', 'base image', 'data', 'daemon', 'ledger'])
    assert.ok(findings.find(finding => finding.check === check)?.ok, check);
}

async function saysNo({ dir, auto, on, onManual }: Fixture): Promise<void> {
  const table: readonly (readonly [end: Promise<CommandEnd>, code: number, words: RegExp])[] = [
    [on('run', '--no-such', '--', 'true'), 2, /unknown option '--no-such'/],
    [on('run'), 2, /give a command/],
    [on('frobnicate'), 2, /unknown command/],
    [command(['status', '--data', join(dir, 'nobody')]), 3, /no daemon runs in/],
    [command(['status', '--api', 'http://127.0.0.1:9']), 3, /no daemon answers/],
    [onManual('run', '--avoid', 'self', '--pay', '5000', ...python('print(1)')), 4, /holds less/],
    [on('run', '--cpus', '900', ...python('print(1)')), 4, /no node can run this task/],
    [on('task', 'no-such-task'), 1, /no-such-task|no such task/],
  ];
  for (const [end, code, words] of table) assert.match(assertCode(await end, code).stderr, words);

  const config = join(dir, 'bad.yaml');
  await writeFile(config, 'api:\n  port: 8001\n  prot: 1\n');
  const data = join(dir, 'never');
  const bad = assertCode(await command(['start', '--config', config, '--data', data]), 2);
  assert.is(bad.stderr, `duxnode: ${config}:3:3: api.prot: unknown key\n`);
  assert.is(await stat(data).catch(error => error.code), 'ENOENT', 'it did not start');
  const wrong = await command(['start', '--data', data], { DUXNODE_API_PORT: 'many' });
  assert.match(assertCode(wrong, 2).stderr, /^duxnode: .*DUXNODE_API_PORT: api\.port: .+\n$/);

  const second = assertCode(await command(['start', '--data', auto.dataDir, '--api-port', '0']), 1);
  assert.match(second.stderr, /duxnode: .*(another|already|in use)/i);
  assert.not.match(second.stderr, /^\s+at /m);
  const port = new URL(auto.url).port;
  const env = { DUXNODE_NETWORK_LISTEN: '[/ip4/127.0.0.1/tcp/0]' };
  const taken = assertCode(await command(['start', '--data', data, '--api-port', port], env), 1);
  assert.match(taken.stderr, new RegExp(`duxnode: .*${port}`));
  assert.not.match(taken.stderr, /^\s+at /m);
}

test('every verb against two daemons, and its exit code', () =>
  withTwoNodes(async fixture => {
    await runsLikeDocker(fixture);
    await interruptCancels(fixture);
    await submitsAndReads(fixture);
    await runsArrays(fixture);
    await cancelsAndAccepts(fixture);
    await showsTheNode(fixture);
    await saysNo(fixture);
  }));

/** What a node of a test of its own gets. */
const LOOPBACK = { DUXNODE_NETWORK_LISTEN: '[/ip4/127.0.0.1/tcp/0]' };

test('start --detach and stop; devnet 2 --detach and devnet stop', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-cli-'));
  const env = { ...LOOPBACK, DUXNODE_DATA: join(dir, 'one') };
  const stopAll = async () => {
    const ends = [await command(['stop'], env), await command(['devnet', 'stop', '--dir', join(dir, 'net')])];
    return ends.map(({ code }) => code);
  };
  try {
    const started = await command(['start', '--detach', '--api-port', '0', '--json'], env);
    const { pid } = JSON.parse(assertCode(started, 0).stdout) as { pid: number };
    assertCode(await command(['status', '-q'], env), 0);

    const made = await command(['devnet', '2', '--detach', '--dir', join(dir, 'net'), '--json']);
    const { nodes } = JSON.parse(assertCode(made, 0).stdout) as { nodes: { pid: number; dataDir: string }[] };
    assert.is(nodes.length, 2);
    const seen = await command(['peers', '--json', '--data', nodes[1]?.dataDir as string]);
    assert.ok(Array.isArray(JSON.parse(assertCode(seen, 0).stdout).peers));

    assert.equal(await stopAll(), [0, 0]);
    for (const gone of [pid, ...nodes.map(node => node.pid)])
      assert.throws(() => process.kill(gone, 0), /ESRCH/);
    assert.equal(await stopAll(), [3, 3]);
  } finally {
    await stopAll();
    await rm(dir, { recursive: true, force: true });
  }
});

test.run();
