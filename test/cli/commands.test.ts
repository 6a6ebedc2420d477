import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { json } from '../../src/cli/print.ts';
import type { BidView, EscrowView, TaskRequest } from '../../src/market/index.ts';
import { VERSION } from '../../src/util/index.ts';
import { rawCid } from '../../src/wire/index.ts';
import { workerSigner } from '../fixtures/api/memory-market.ts';
import { person } from '../ledger/support.ts';
import { runCli, type Shell, withDir, withShell } from './support.ts';

const test = suite('cli: commands');

async function submitted({ run }: Shell, body = 'code: print(1)\n'): Promise<string> {
  const { code, out } = await run(['submit', '-'], { stdin: body });
  assert.is(code, 0);
  return out.trim();
}

test('no daemon is exit code 3, in one line', () =>
  withDir(async dir => {
    const none = await runCli(['status'], { env: { DUXNODE_DATA: dir } });
    assert.is(none.code, 3);
    assert.match(none.err, /^duxnode: no daemon runs in .*duxnode start.*\n$/);
    await writeFile(join(dir, 'api.json'), '{"url":"http://127.0.0.1:1","pid":1}');
    assert.is((await runCli(['peers', '--data', dir])).code, 3);
    assert.is((await runCli(['peers', '--api', 'http://127.0.0.1:1'])).code, 3);
  }));

test('usage mistakes are exit code 2', async () => {
  const lines = [
    ['nothing'],
    ['start', '--no-such-flag'],
    ['start', '--api-port', 'x'],
    ['task'],
    ['run'],
    ['run', '--cpus', 'many', '--', 'ls'],
    ['run', '--memory', '1x', '--', 'ls'],
    ['run', '-e', '=x', '--', 'ls'],
    ['peers', '--api', 'localhost'],
    ['devnet', '99'],
    ['submit', '-'],
    ['quote'],
    ['quote', '-'],
    ['quote', '--pay', '1', 'task.yaml'],
  ];
  for (const line of lines) assert.is((await runCli(line)).code, 2, line.join(' '));
  assert.is((await runCli(['--help'])).code, 0);
  assert.match((await runCli(['run', '--help'])).out, /Examples/);
  assert.equal(await runCli(['--version']), { code: 0, out: `${VERSION}\n`, err: '' });
});

test('submit takes YAML, JSON, lists and several documents; amounts stay as written', () =>
  withShell(async shell => {
    const { run, server } = shell;
    await submitted(shell, 'code: print(1)\npayment_amount: 0.10\n');
    assert.is(server.market.requests[0]?.policy.payment, 10_000_000n);
    await submitted(shell, '{"code": "print(1)", "payment_amount": 92233720368.54775807}');
    assert.is(server.market.requests[1]?.policy.payment, 2n ** 63n - 1n);
    const many = await run(['submit', '-'], { stdin: '- code: a\n- code: b\n---\ncode: c\n' });
    assert.is(many.out.trim().split('\n').length, 3);
    const wrong = await run(['submit', '-'], { stdin: 'code: [\n' });
    assert.is(wrong.code, 2);
    assert.match(wrong.err, /-:\d+:\d+: /);
    const refused = await run(['submit', '-'], { stdin: 'code: ""\nmemory_mb: 1\n' });
    assert.is(refused.code, 2);
    assert.match(refused.err, /memory_mb: /);
  }));

test('path inputs are read here', () =>
  withShell(async shell => {
    const { run, server, dir } = shell;
    await writeFile(join(dir, 'data.txt'), 'hello');
    await writeFile(
      join(dir, 'task.yaml'),
      'code: x\ninputs:\n  - {path: data.txt, target: inputs/data.txt}\n',
    );
    assert.is((await run(['submit', join(dir, 'task.yaml')])).code, 0);
    const [input] = server.market.requests[0]?.spec.inputs ?? [];
    assert.ok(input && 'bytes' in input);
    assert.is(Buffer.from(input.bytes).toString(), 'hello');
    const volume = ['run', '--quiet', '-v', `${dir}:/inputs`, '--', 'ls'];
    const running = run(volume, { onErr: () => {} });
    await new Promise<void>(resolve => {
      const off = server.market.onEvent(event => {
        off();
        server.market.finish(event.taskId);
        resolve();
      });
    });
    await running;
    const targets = server.market.requests[1]?.spec.inputs.map(({ path }) => path) ?? [];
    assert.ok(targets.includes('inputs/data.txt'), targets.join());
  }));

test('what other tasks write is named by their ids, in a file and by flags', () =>
  withShell(async ({ run, server }) => {
    const [one, two] = ['one', 'two'].map(text => rawCid(Buffer.from(text)));
    const stdin = `code: x\nafter: [${one}]\ninputs: [{task: ${two}, output: a.csv, target: inputs/a}]\n`;
    assert.is((await run(['submit', '-'], { stdin })).code, 0);
    const off = server.market.onEvent(event => {
      off();
      server.market.finish(event.taskId);
    });
    const flags = ['--after', one!, '--from', `${two}:a.csv:inputs/a`];
    assert.is((await run(['run', '--quiet', ...flags, '--', 'ls'])).code, 0);
    for (const { policy, spec } of server.market.requests) {
      assert.equal(policy.after, [one, two]);
      assert.equal(spec.inputs, [{ path: 'inputs/a', task: two, output: 'a.csv' }]);
    }
    assert.is((await run(['run', '--from', 'x:y', '--', 'ls'])).code, 2);
  }));

test('what is large is stored first and named by its content, what is small goes along', () =>
  withShell(async ({ run, server, dir }) => {
    const large = Buffer.alloc(3 * 2 ** 20, 'large');
    await mkdir(join(dir, 'data'));
    await writeFile(join(dir, 'data', 'large.bin'), large);
    await writeFile(join(dir, 'data', 'small.txt'), 'small');
    const cid = rawCid(large);
    await writeFile(
      join(dir, 'task.yaml'),
      'code: x\ninputs:\n  - {path: data/large.bin, target: inputs/a}\n  - {path: data/small.txt, target: inputs/b}\n',
    );
    assert.is((await run(['submit', join(dir, 'task.yaml')])).code, 0);
    const [one, other] = server.market.requests[0]?.spec.inputs ?? [];
    assert.equal(one, { path: 'inputs/a', cid, size: large.length });
    assert.ok(other && 'bytes' in other);
    assert.ok(Buffer.from((await server.blobs.get(cid)) ?? []).equals(large));
    const off = server.market.onEvent(event => {
      off();
      server.market.finish(event.taskId);
    });
    const ran = await run(['run', '--quiet', '-v', `${join(dir, 'data')}:/inputs`, '--', 'ls']);
    assert.is(ran.code, 0, ran.err);
    const inputs = server.market.requests[1]?.spec.inputs ?? [];
    assert.equal(inputs.map(({ path }) => path).sort(), ['inputs/large.bin', 'inputs/small.txt']);
    assert.is(inputs.filter(input => 'cid' in input).length, 1);
  }));

test('run shows live output, ends with the task’s exit code and a last line', () =>
  withShell(async ({ run, server }) => {
    const { market } = server;
    const judges = [person('judge').peer, person('other').peer];
    const flags = ['--pay', '5', '-e', 'A=b', '--resumable', ...judges.flatMap(peer => ['--arbiter', peer])];
    const ran = await run(['run', ...flags, '--', 'sh', '-c', 'exit 3'], {
      onErr(text) {
        const id = /^task (\S+)/.exec(text)?.[1];
        if (id === undefined) return;
        market.write(id, 'stdout', 'live\n');
        market.finish(id, { stdout: 'live\nmissed\n', exitCode: 3 });
      },
    });
    assert.is(ran.code, 3);
    assert.is(ran.out, 'live\nmissed\n');
    assert.match(
      ran.err,
      /failed \(user: .*worker …\w{8} {2}time 0.01 s {2}cpu 0.01 s {2}memory 1.0 kB {2}in 0 B {2}out \d+ B {2}price 5 credits {2}receipt: duxnode receipt bafy/,
    );
    assert.equal(market.requests[0]?.spec.program, { argv: ['sh', '-c', 'exit 3'] });
    const { env, resumable, outputBytes } = market.requests[0]?.spec ?? {};
    assert.equal([env, resumable, outputBytes], [{ A: 'b' }, true, 4 * 2 ** 20]);
    assert.equal(market.requests[0]?.policy.arbiters, judges);
  }));

test('run says how far the image is, as do task and tasks', () =>
  withShell(async shell => {
    const { run, server } = shell;
    const { market } = server;
    let id = '';
    const ran = await run(['run', '--', 'true'], {
      onErr(text) {
        id = /^task (\S+)/.exec(text)?.[1] ?? id;
        if (text.startsWith('task ')) market.move(id, { state: 'running', phase: 'pulling', progress: 42.9 });
        else if (text.includes('pulling')) market.finish(id);
      },
    });
    assert.is(ran.code, 0);
    assert.match(ran.err, /^task \S+\npulling the image: 42 %\ncompleted /);
    const other = await submitted(shell);
    market.move(other, { state: 'running', phase: 'pulling', progress: 7 });
    assert.match((await run(['task', other])).out, /running \(pulling 7 %\)/);
    assert.match((await run(['tasks'])).out, /pulling 7 %/);
  }));

test('quote says who would and who would not, of a file or of flags, and submits nothing', () =>
  withShell(async ({ run, server, dir }) => {
    const file = join(dir, 'task.yaml');
    await writeFile(file, 'code: print(1)\npayment_amount: 0.1\n');
    const quoted = await run(['quote', file]);
    assert.is(quoted.code, 0, quoted.err);
    const [head = '', bid = '', refusal = ''] = quoted.out.split('\n');
    assert.match(head, /^NODE +ASK +QUEUE +TRANSFER +RUN +RISK +SCORE +ANSWER$/);
    assert.match(bid, /^…\w{8} +0.1 +0.000500 +0.000000 .* starts in 0.50 s, runs 1.00 s, 90 % sure$/);
    assert.match(refusal, /^…\w{8}( +-){6} +DRAINING: this node is ending its work$/);
    assert.is((await run(['quote', '-'], { stdin: 'code: x\n' })).out, quoted.out);
    assert.is((await run(['quote', '--pay', '0.1', '--', 'echo', 'x'])).out, quoted.out);
    assert.is((await run(['quote', '-q', file])).out, `${workerSigner.peer}\n`);
    assert.equal(server.market.requests, []);
  }));

test('task --why tells the parts of every score, and why the award went where it went', () =>
  withShell(async shell => {
    const { run, server } = shell;
    const id = await submitted(shell);
    const [bid, refused] = await server.market.quote(server.market.requests[0] as TaskRequest);
    const attempt = {
      attempt: 1,
      worker: workerSigner.peer,
      price: 10_000_000n,
      awardedAt: 1,
      startedAt: null,
      endedAt: null,
      bids: [bid, refused] as BidView[],
      silent: ['12D3KooWsleeping'],
      choice: 'only' as const,
      failure: null,
      payment: null,
    };
    server.market.move(id, { attempts: [attempt] });
    const { out } = await run(['task', id, '--why']);
    assert.match(out, /attempt 1 .*price 0.1 {2}why: its bid was the only one\n {2}NODE/);
    assert.match(out, /0.104500 {2}starts in 0.50 s/);
    assert.match(out, /DRAINING: .*\n {2}…sleeping .*did not answer in time\n$/);
    assert.not.match((await run(['task', id])).out, /why/);
  }));

test('prune says what it removed and how much that was', () =>
  withShell(async ({ run }) => {
    const old = await run(['prune']);
    assert.equal([old.code, old.out], [0, 'removed 2 results  3.0 kB\nfreed 3.0 kB\n']);
    const all = await run(['prune', '--all']);
    assert.is(all.out, 'removed alpine:3  7.0 MB\nremoved 2 results  3.0 kB\nfreed 7.0 MB\n');
    assert.is((await run(['prune', '--all', '-q'])).out, 'alpine:3\n');
    assert.is(JSON.parse((await run(['prune', '--all', '--json'])).out).freed_bytes, 7_003_000);
  }));

test('Ctrl-C cancels the running task and is exit code 130', () =>
  withShell(async ({ run, server }) => {
    const interrupt = new AbortController();
    const ran = await run(['run', '--', 'sleep', '60'], {
      signal: interrupt.signal,
      onErr: text => text.startsWith('task ') && interrupt.abort(new Error('interrupted')),
    });
    assert.is(ran.code, 130);
    const { tasks } = await server.market.list({ limit: 1 });
    assert.is(tasks[0]?.state, 'cancelled');
  }));

test('result, logs, wait, cancel and their exit codes', () =>
  withShell(async shell => {
    const { run, server } = shell;
    const good = await submitted(shell);
    assert.is((await run(['result', good])).code, 1);
    server.market.finish(good, { stdout: '{"a":1}', files: { 'out/x.txt': 'content' } });
    const result = await run(['result', good, '--out', join(shell.dir, 'saved')]);
    assert.is(result.code, 0);
    assert.is(result.out, '{"a":1}');
    assert.is(await readFile(join(shell.dir, 'saved/out/x.txt'), 'utf8'), 'content');
    assert.equal(JSON.parse((await run(['result', good, '--json'])).out).result, { a: 1 });
    assert.is((await run(['wait', good])).code, 0);

    const bad = await submitted(shell);
    server.market.finish(bad, { exitCode: 1 });
    assert.is((await run(['wait', good, bad])).code, 1);

    const poor = await submitted(shell);
    const failure = { class: 'funds', code: 'FUNDS_LOCKED', message: 'no money' } as const;
    server.market.move(poor, { state: 'failed', phase: 'done', failure, endedAt: 1 });
    assert.is((await run(['wait', poor])).code, 4);

    const ends = [
      ['network', 'DEADLINE', 4],
      ['worker', 'DEADLINE', 1],
      ['user', 'NO_WORKER_FITS', 4],
    ] as const;
    for (const [kind, code, exit] of ends) {
      const id = await submitted(shell);
      const failure = { class: kind, code, message: 'nobody' };
      server.market.move(id, { state: 'failed', phase: 'done', failure, endedAt: 1 });
      assert.is((await run(['wait', id])).code, exit, `${kind} ${code}`);
    }

    const open = await submitted(shell);
    assert.is((await run(['wait', open, '--timeout', '0'])).code, 1);
    assert.is((await run(['cancel', open])).out, `${open} cancelled\n`);
    assert.is((await run(['cancel', open])).code, 1);
    assert.is((await run(['task', 'none'])).code, 1);
  }));

test('lists print tables, ids or JSON', () =>
  withShell(async shell => {
    const { run } = shell;
    const id = await submitted(shell, 'service_name: mine\ncode: x\n');
    assert.match((await run(['tasks'])).out, /^TASK .*\n.*mine\n$/);
    assert.is((await run(['tasks', '-q'])).out, `${id}\n`);
    assert.is(JSON.parse((await run(['tasks', '--json'])).out).tasks[0].task_id, id);
    assert.match((await run(['task', id])).out, /pays up to +0 credits\npayment +-\nescrow +-\n/);
    const at = { claimBy: 1_000, disputeBy: 2_000, verdictBy: 3_000, closedBy: null, finding: null };
    const shows = async (change: Partial<EscrowView>, text: string) => {
      const escrow = { ...at, state: 'open' as const, arbiters: [], ...change };
      const payment = { amount: 0n, fee: 0n, escrowId: null, state: 'locked' as const, escrow };
      shell.server.market.move(id, { payment });
      assert.match((await run(['task', id])).out, `escrow      ${text}\n`);
    };
    await shows({}, 'open, to be claimed by 1970-01-01T00:00:01.000Z');
    await shows({ state: 'claimed' }, 'claimed, to be disputed by 1970-01-01T00:00:02.000Z');
    await shows(
      { state: 'disputed', arbiters: ['12D3KooWjudge'] },
      'disputed, to be judged by 1970-01-01T00:00:03.000Z, arbiters …ooWjudge',
    );
    await shows(
      { state: 'split', closedBy: 'verdict', finding: 'wrong' },
      'split by verdict (the result is wrong)',
    );
    assert.match((await run(['wallet'])).out, /balance +12.5 credits/);
    assert.match((await run(['wallet', 'history', '--limit', '1'])).out, /lock +-5/);
    assert.match(
      (await run(['status'])).out,
      /docker +degraded +Docker does not answer|docker +degraded Docker/,
    );
    assert.match((await run(['peers'])).out, /inbound +1.5 ms/);
    assert.match((await run(['notary'])).out, /1 of 1 decide; .*\nby itself: 3 notaries, soon\n$/);
  }));

test('outputs are saved under their own names, and only below the directory', () =>
  withShell(async shell => {
    const { run, server } = shell;
    const into = join(shell.dir, 'saved');
    const save = async (files: Record<string, string>) => {
      const id = await submitted(shell);
      server.market.finish(id, { files });
      return run(['result', id, '--out', into]);
    };
    const good = await save({ '..data': 'kept', 'a\u009b2J': '' });
    assert.is(good.code, 0);
    assert.is(good.err, `saved ${into}/..data\nsaved ${into}/a2J\n`);
    assert.is(await readFile(join(into, '..data'), 'utf8'), 'kept');
    for (const path of ['../x', '..', 'a/../../x']) {
      const bad = await save({ [path]: 'x' });
      assert.is(bad.code, 2, path);
      assert.match(bad.err, /would land outside/);
    }
  }));

test('JSON holds no mark that a terminal obeys', () => {
  const value = { name: 'a\u009b2J\u202e', amount: 1n };
  assert.is(json(value), '{\n  "name": "a\\u009b2J\\u202e",\n  "amount": "1"\n}\n');
  assert.is(JSON.parse(json(value)).name, value.name);
});

test('what peers wrote cannot steer the terminal', () =>
  withShell(async shell => {
    const { run, server } = shell;
    const id = await submitted(shell, 'service_name: "x\\e[2Jy"\ncode: x\n');
    assert.match((await run(['tasks'])).out, /x\[2Jy/);
    server.market.finish(id, { stdout: 'a\u001b]0;title\u0007b\n' });
    assert.is((await run(['result', id], { terminal: true })).out, 'a]0;titleb\n');
    assert.is((await run(['result', id])).out, 'a\u001b]0;title\u0007b\n');
  }));

test('colour is for terminals, and never with NO_COLOR', () =>
  withDir(async dir => {
    const file = join(dir, 'receipt');
    await writeFile(file, 'nothing');
    const shown = (how: Parameters<typeof runCli>[1]) => runCli(['receipt', 'verify', file], how);
    assert.is((await shown({})).code, 1);
    assert.match((await shown({})).out, /^INVALID: /);
    assert.ok((await shown({ terminal: true })).out.startsWith('\u001b[31m'));
    assert.match((await shown({ terminal: true, env: { NO_COLOR: '1' } })).out, /^INVALID/);
  }));

test('a receipt is exported as it is', () =>
  withShell(async shell => {
    const { run, server, dir } = shell;
    const id = await submitted(shell);
    assert.is((await run(['receipt', id])).code, 1);
    server.market.finish(id);
    const file = join(dir, 'out.receipt');
    assert.is((await run(['receipt', id, '-o', file])).code, 0);
    assert.is(await readFile(file, 'utf8'), 'not a receipt');
    assert.is((await run(['receipt', 'export', id])).out, 'not a receipt');
    assert.is(JSON.parse((await run(['receipt', id, '--json'])).out).valid, false);
    assert.is((await run(['receipt', id], { terminal: true })).code, 2);
  }));

test('evidence is listed, written, and checked offline', () =>
  withShell(async ({ run, dir }) => {
    assert.match((await run(['evidence'])).out, /12D3Koo\w+ +notary +voted-twice +A\//);
    assert.match((await run(['evidence', '-q'])).out, /^12D3Koo\w+\n$/);
    const file = join(dir, 'evidence.json');
    const { out } = await run(['evidence', '--json']);
    const verify = async (text: string) => {
      await writeFile(file, text);
      const { code, out: shown } = await runCli(['evidence', 'verify', file, '--json']);
      return { code, ...JSON.parse(shown) };
    };
    const { code, evidence } = await verify(out);
    assert.equal([code, evidence.network, evidence.proofs], [0, 'test', 1]);
    const body = JSON.parse(out);
    const [entry] = body.evidence;
    const codeOf = async (change: object) =>
      (await verify(JSON.stringify({ ...body, evidence: [{ ...entry, ...change }] }))).error.code;
    assert.is(await codeOf({ second: entry.first }), 'CONTRADICTION_NONE');
    assert.is(await codeOf({ slot: 'A/x/1' }), 'EVIDENCE_DIFFERS');
    assert.is(await codeOf({ rule: 'lied' }), 'EVIDENCE_FORMAT');
    assert.is((await verify('nothing')).code, 1);
  }));

test('the daemon is named by flags over environment', () =>
  withShell(async ({ dir, server, run }) => {
    assert.is((await runCli(['peers', '--api', server.url])).code, 0);
    assert.is((await run(['peers', '--data', '/nowhere'])).code, 3);
    assert.is((await run(['peers', '--data', dir], { env: { DUXNODE_API: 'http://127.0.0.1:1' } })).code, 0);
    assert.is((await run(['peers'], { env: { DUXNODE_API: 'http://127.0.0.1:1' } })).code, 3);
    const tokenFile = join(dir, 'api.token');
    assert.is((await runCli(['wallet', '--api', server.url, '--token-file', tokenFile])).code, 0);
    assert.is((await runCli(['wallet', '--api', server.url, '--token-file', '/nowhere'])).code, 2);
    await writeFile(tokenFile, 'wrong');
    assert.is((await run(['wallet'])).code, 1);
  }));

test.run();
