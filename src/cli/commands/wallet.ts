import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { EXIT, usage } from '../exit.ts';
import type { Io } from '../io.ts';
import { money } from '../money.ts';
import { facts, json, printReport, table } from '../print.ts';
import { clientOf } from '../target.ts';
import type { ReadOptions } from './tasks.ts';

const ofLimit = (limit: string | null) => (limit === null ? '' : ` of ${limit}`);

export async function balance(io: Io, _: readonly string[], options: ReadOptions): Promise<number> {
  const client = await clientOf(io, options);
  const { body } = await client.getWallet({}, { signal: io.signal });
  if (options.json) await io.out(json(body));
  else if (options.quiet) await io.out(`${body.balance}\n`);
  else
    await io.out(
      facts([
        ['account', body.account],
        ['balance', money(body.balance, body)],
        ['locked', money(body.locked, body)],
        ['incoming', money(body.incoming, body)],
        ['spent today', money(body.limits.spent_today, body) + ofLimit(body.limits.per_day)],
        ...(body.note === null ? [] : [['note', body.note] as const]),
      ]),
    );
  return EXIT.done;
}

export async function history(
  io: Io,
  _: readonly string[],
  options: ReadOptions & { limit?: string; before?: string },
): Promise<number> {
  const client = await clientOf(io, options);
  const { limit, before } = options;
  const { body } = await client.getWalletHistory({ query: { limit, before } }, { signal: io.signal });
  if (options.json) await io.out(json(body));
  else {
    const rows = body.entries.map(entry => [
      String(entry.index),
      entry.kind,
      entry.change,
      entry.counterpart ?? '-',
      entry.task_id ?? '-',
      entry.slot,
    ]);
    await io.out(table(['#', 'KIND', 'CHANGE', 'COUNTERPART', 'TASK', 'CERTIFICATE'], rows));
    if (body.next !== null) await io.err(`more: --before ${body.next}\n`);
  }
  return EXIT.done;
}

/** Who lent to this node, and who used it. */
export async function shares(io: Io, _: readonly string[], options: ReadOptions): Promise<number> {
  const client = await clientOf(io, options);
  const { body } = await client.getShares({}, { signal: io.signal });
  if (options.json) await io.out(json(body));
  else if (options.quiet) await io.out(body.shares.map(share => `${share.peer_id}\n`).join(''));
  else {
    const rows = [...body.shares, { peer_id: 'all', ...body.total }].map(({ peer_id, lent, used }) => [
      peer_id,
      String(lent.tasks),
      lent.cpu_seconds.toFixed(2),
      lent.amount,
      String(used.tasks),
      used.cpu_seconds.toFixed(2),
      used.amount,
    ]);
    const head = ['PEER', 'LENT TO IT', 'CPU S', 'EARNED', 'USED OF IT', 'CPU S', 'PAID'];
    await io.out(table(head, rows));
  }
  return EXIT.done;
}

/** Sends money. A command that is repeated by mistake is refused; with a key it changes nothing. */
export async function send(
  io: Io,
  [to, amount]: readonly string[],
  options: ReadOptions & { key?: string; again?: boolean },
): Promise<number> {
  if (to === undefined || amount === undefined) throw usage('give a peer id and an amount');
  const client = await clientOf(io, options);
  const { body } = await client.sendMoney(
    { body: { to, amount, again: options.again ?? false }, headers: { 'idempotency-key': options.key } },
    { signal: io.signal },
  );
  if (options.json) await io.out(json(body));
  else if (body.slot !== null)
    await io.out(
      options.quiet ? `${body.slot}\n` : `sent ${money(body.amount, body)} to ${body.to} (${body.slot})\n`,
    );
  else
    await io.err(`on its way: ${money(body.amount, body)} to ${body.to} go through when a notary answers\n`);
  return EXIT.done;
}

/** Writes the account's trail to a file, or to a pipe. */
export async function exportTrail(
  io: Io,
  _: readonly string[],
  options: ReadOptions & { format?: string; output?: string },
): Promise<number> {
  const { format = 'json', output } = options;
  if (format !== 'json' && format !== 'csv') throw usage(`--format is json or csv, not ${format}`);
  const client = await clientOf(io, options);
  const { body } = await client.exportWallet({ query: { format } }, { signal: io.signal });
  if (output === undefined || output === '-') for await (const bytes of body.bytes) await io.out(bytes);
  else await pipeline(body.bytes, createWriteStream(output, { mode: 0o600 }), { signal: io.signal });
  return EXIT.done;
}

/** Checks an exported trail by its bytes alone: no daemon is asked. */
export async function verifyTrail(io: Io, [file]: readonly string[], options: ReadOptions): Promise<number> {
  if (file === undefined) throw usage('give a file');
  const { reportTrail } = await import('../../api/index.ts');
  const report = await reportTrail(createReadStream(file, { signal: io.signal }));
  if (options.json) await io.out(json(report));
  else await printReport(io, report, report.trail);
  return report.valid ? EXIT.done : EXIT.failed;
}
