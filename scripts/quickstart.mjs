// Three daemons, one task, and what came of it: the second half of quickstart.sh, over nothing but the command line and HTTP.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const BUNDLE = fileURLToPath(new URL('../dist/duxnode.js', import.meta.url));
const KEEP = process.argv.includes('--keep');
const NODES = 3;
const WAIT_MS = 60_000;

const dir = await mkdtemp(join(tmpdir(), 'duxnode-quickstart-'));
const daemons = [];

/** Asks until `look` gives something; says what it waited for when it does not in time. */
async function until(what, look) {
  for (const end = performance.now() + WAIT_MS; performance.now() < end; ) {
    const found = await look();
    if (found) return found;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  throw new Error(`waited ${WAIT_MS / 1000} s for ${what}`);
}

async function startDaemon(index, flags) {
  const data = join(dir, `node-${index + 1}`);
  const env = { ...process.env, DUXNODE_NETWORK_LISTEN: '[/ip4/127.0.0.1/tcp/0]' };
  const argv = ['start', '--data', data, '--api-port', '0', ...flags];
  const child = spawn(BUNDLE, argv, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: KEEP });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', bytes => {
      output = (output + bytes).slice(-10_000);
    });
  const daemon = { name: `node ${index + 1}`, data, child, url: '' };
  daemons.push(daemon);
  await until(`${daemon.name} to listen`, async () => {
    if (child.exitCode !== null) throw new Error(`${daemon.name} ended with ${child.exitCode}:\n${output}`);
    const endpoint = await readFile(join(data, 'api.json'), 'utf8').catch(() => '');
    daemon.url = endpoint && JSON.parse(endpoint).url;
    return daemon.url;
  });
  return daemon;
}

async function get(daemon, path) {
  const response = await fetch(daemon.url + path);
  const body = await response.json();
  if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${JSON.stringify(body)}`);
  return body;
}

async function startNetwork() {
  const first = await startDaemon(0, ['--open', '--name', 'quickstart']);
  const { addresses } = await get(first, '/node');
  const address = addresses.find(text => text.startsWith('/ip4/127.0.0.1/'));
  await Promise.all([1, 2].map(index => startDaemon(index, ['--join', address])));
  for (const daemon of daemons)
    await until(`${daemon.name} to meet the others`, async () => {
      const { peers } = await get(daemon, '/peers');
      const { balance } = await get(daemon, '/wallet');
      return peers.length >= NODES - 1 && Number(balance) > 0;
    });
}

const TASK = {
  service_name: 'image_processor',
  code: 'import json; print(json.dumps({"processed": True}))',
  cpu_cores: 2,
  memory_mb: 512,
  payment_amount: 5.0,
  avoid: ['self'],
};

async function runTask(daemon) {
  const response = await fetch(`${daemon.url}/tasks/submit`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(TASK),
  });
  const submitted = await response.json();
  if (response.status !== 202)
    throw new Error(`POST /tasks/submit: ${response.status} ${JSON.stringify(submitted)}`);
  const path = `/tasks/${submitted.task_id}`;
  await until('the task to end', async () => {
    const { status, error } = await get(daemon, `${path}/status`);
    if (status === 'failed') throw new Error(`the task failed: ${JSON.stringify(error)}`);
    return status === 'completed';
  });
  return get(daemon, `${path}/result`);
}

async function checkReceipt(daemon, taskId) {
  const file = join(dir, 'receipt.cbor');
  const duxnode = async (...words) => (await promisify(execFile)(BUNDLE, words)).stdout;
  await duxnode('receipt', taskId, '--data', daemon.data, '--output', file);
  return { file, said: await duxnode('receipt', 'verify', file) };
}

async function stopAll() {
  for (const { child } of daemons.reverse()) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
  }
  await rm(dir, { recursive: true, force: true });
}

async function show() {
  await startNetwork();
  const requester = daemons[1];
  const before = await get(requester, '/wallet');
  console.log(
    `\nThree daemons are running; the task goes to ${requester.name}, which must not run it itself.`,
  );
  const began = performance.now();
  const result = await runTask(requester);
  const took = Math.round(performance.now() - began);
  const identities = await Promise.all(daemons.map(daemon => get(daemon, '/node')));
  const at = identities.findIndex(({ peer_id: peer }) => peer === result.worker);
  const worker = daemons[at];
  if (!worker || worker === requester) throw new Error('the task did not run on another node');
  const { said } = await checkReceipt(requester, result.task_id);
  const after = await get(requester, '/wallet');
  const earned = await until('the worker to see its pay', async () => {
    const wallet = await get(worker, '/wallet');
    return Number(wallet.incoming) === 0 && wallet;
  });
  console.log(`
result        ${JSON.stringify(result.result)}
worker        ${worker.name}, ${result.worker}
time          ${took} ms from submission to payment
attestation   ${result.verification.passed ? 'good' : 'BAD'}: ${result.verification.checks.join(', ')}
payment       ${result.payment.amount} FLOP ${result.payment.state} from escrow ${result.payment.escrow_id.slice(0, 16)}…, fee ${result.payment.fee}
balances      ${requester.name}: ${before.balance} -> ${after.balance} FLOP, ${worker.name}: ${earned.balance} FLOP
receipt       checked offline:`);
  console.log(said.trimEnd().replace(/^/gm, '              '));
}

function sayKept() {
  console.log('\nThe network goes on. Try:');
  for (const { name, url, data, child } of daemons)
    console.log(`  ${name}: ${url}  --data ${data}  (pid ${child.pid})`);
  console.log(`  npx duxnode run --data ${daemons[1].data} -- python3 -c 'print(6*7)'`);
  console.log(`  kill ${daemons.map(({ child }) => child.pid).join(' ')}   # ends it`);
  for (const { child } of daemons) {
    child.stdout.destroy();
    child.stderr.destroy();
    child.unref();
  }
}

let failed = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.once(signal, () => stopAll().then(() => process.exit(1)));
try {
  await show();
} catch (error) {
  failed = true;
  console.error(`quickstart: ${error.message}`);
  process.exitCode = 1;
} finally {
  if (KEEP && !failed) sayKept();
  else await stopAll();
}
if (!failed && !KEEP)
  console.log('\nAll of it is stopped again. `scripts/quickstart.sh --keep` leaves it running.');
