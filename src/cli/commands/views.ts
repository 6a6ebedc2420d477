import { readFile, writeFile } from 'node:fs/promises';
import { EXIT, usage } from '../exit.ts';
import type { Io } from '../io.ts';
import { money } from '../money.ts';
import { duration, facts, json, printReport, table } from '../print.ts';
import { clientOf } from '../target.ts';
import type { ReadOptions } from './tasks.ts';

/** The node on one screen. */
export async function status(io: Io, _: readonly string[], options: ReadOptions): Promise<number> {
  const client = await clientOf(io, options);
  const on = { signal: io.signal };
  const [node, stats, health, wallet, peers] = await Promise.all([
    client.getNode({}, on),
    client.getStats({}, on),
    client.getHealth({}, on),
    client.getWallet({}, on),
    client.listPeers({}, on),
  ]);
  if (options.quiet) await io.out(`${node.body.peer_id}\n`);
  else if (options.json)
    await io.out(
      json({
        node: node.body,
        stats: stats.body,
        health: health.body,
        wallet: wallet.body,
        peers: peers.body.peers.length,
      }),
    );
  else {
    const { worker_stats: work, scheduler_stats: scheduler } = stats.body;
    const parts = (['p2p', 'docker', 'db', 'ledger'] as const).map(
      name => [name, `${health.body[name].status}  ${health.body[name].detail ?? ''}`] as const,
    );
    await io.out(
      facts([
        ['peer', node.body.peer_id],
        [
          'network',
          `${node.body.network} (${node.body.network_id}), ${node.body.ledger.member ? 'member' : 'guest'}`,
        ],
        ['version', `${node.body.version}, up ${duration(Date.now() - Date.parse(node.body.started_at))}`],
        ['control', node.body.api.url],
        ['peers', peers.body.peers.length],
        ['health', health.body.status],
        ...parts,
        [
          'worker',
          `${work.status}: ${work.running_tasks} of ${work.slots} slots, ${work.queued_tasks} queued`,
        ],
        [
          'tasks',
          `${stats.body.active_tasks} active, ${stats.body.completed_tasks} completed, ${stats.body.failed_tasks} failed (${(scheduler.success_rate * 100).toFixed(1)} % success)`,
        ],
        ['balance', `${money(wallet.body.balance, wallet.body)}, ${wallet.body.locked} locked`],
        ['addresses', node.body.addresses.join(' ')],
      ]),
    );
  }
  return EXIT.done;
}

export async function peers(io: Io, _: readonly string[], options: ReadOptions): Promise<number> {
  const client = await clientOf(io, options);
  const { body } = await client.listPeers({}, { signal: io.signal });
  if (options.json) await io.out(json(body));
  else if (options.quiet) await io.out(body.peers.map(peer => `${peer.peer_id}\n`).join(''));
  else {
    const rows = body.peers.map(peer => [
      peer.peer_id,
      peer.direction,
      peer.rtt_ms === null ? '-' : `${peer.rtt_ms.toFixed(1)} ms`,
      String(Math.round(peer.score)),
      duration(Date.now() - Date.parse(peer.connected_at)),
      peer.agent ?? '-',
      peer.addresses[0] ?? '-',
    ]);
    await io.out(table(['PEER', 'DIRECTION', 'RTT', 'SCORE', 'SINCE', 'AGENT', 'ADDRESS'], rows));
  }
  return EXIT.done;
}

/** Writes a task's receipt to a file, or to a pipe. */
export async function exportReceipt(
  io: Io,
  [id]: readonly string[],
  options: ReadOptions & { output?: string; index?: string },
): Promise<number> {
  if (id === undefined) throw usage('give a task id');
  const toFile = options.output !== undefined && options.output !== '-';
  if (!toFile && !options.json && io.outIsTerminal)
    throw usage('a receipt is binary: name a file with -o, or use --json');
  const client = await clientOf(io, options);
  const format = options.json ? ('json' as const) : ('binary' as const);
  const { body } = await client.getTaskReceipt(
    { params: { task_id: id }, query: { format, index: options.index } },
    { signal: io.signal },
  );
  if (toFile) await writeFile(options.output as string, body);
  else await io.out(options.json ? json(JSON.parse(Buffer.from(body).toString('utf8'))) : body);
  return EXIT.done;
}

/** The largest receipt that the format allows, and some. */
const MAX_RECEIPT_BYTES = 4 * 1024 * 1024;

/** Checks a receipt by its bytes alone: no daemon is asked. */
export async function verifyReceipt(
  io: Io,
  [file]: readonly string[],
  options: ReadOptions,
): Promise<number> {
  if (file === undefined) throw usage('give a file');
  const bytes = await readFile(file);
  if (bytes.length > MAX_RECEIPT_BYTES) throw usage(`${file} is too large for a receipt`);
  const { reportReceipt } = await import('../../api/index.ts');
  const report = reportReceipt(bytes);
  if (options.json) await io.out(json(report));
  else await printReport(io, report, report.receipt);
  return report.valid ? EXIT.done : EXIT.failed;
}
