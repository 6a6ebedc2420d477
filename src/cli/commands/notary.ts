import { EXIT, usage } from '../exit.ts';
import type { Io } from '../io.ts';
import { json, plainLine, table } from '../print.ts';
import { clientOf } from '../target.ts';
import type { ReadOptions } from './tasks.ts';

type Reply = Awaited<ReturnType<Awaited<ReturnType<typeof clientOf>>['listNotaries']>>['body'];

async function print(io: Io, body: Reply, options: ReadOptions): Promise<number> {
  if (options.json) await io.out(json(body));
  else if (options.quiet) await io.out(body.notaries.map(({ peer_id }) => `${peer_id}\n`).join(''));
  else {
    const rows = body.notaries.map(({ peer_id, is_admin, connected }) => [
      peer_id,
      connected ? 'yes' : 'no',
      is_admin ? 'admin' : '',
    ]);
    await io.out(table(['NOTARY', 'CONNECTED', ''], rows));
    const { quorum, may_be_away, may_lie, automatic, notaries } = body;
    await io.out(
      `${quorum} of ${notaries.length} decide; ${may_be_away} may be away, ${may_lie} may lie (epoch ${body.epoch})\n`,
    );
    if (automatic !== null) await io.out(`by itself: ${plainLine(automatic)}\n`);
  }
  return EXIT.done;
}

export async function list(io: Io, _: readonly string[], options: ReadOptions): Promise<number> {
  const client = await clientOf(io, options);
  return print(io, (await client.listNotaries({}, { signal: io.signal })).body, options);
}

/** Makes a node a notary. */
export async function add(io: Io, [peer]: readonly string[], options: ReadOptions): Promise<number> {
  if (peer === undefined) throw usage('give a peer id');
  const client = await clientOf(io, options);
  const { body } = await client.addNotary({ params: { peer_id: peer } }, { signal: io.signal });
  return print(io, body, options);
}

/** Has a notary decide no more. */
export async function remove(io: Io, [peer]: readonly string[], options: ReadOptions): Promise<number> {
  if (peer === undefined) throw usage('give a peer id');
  const client = await clientOf(io, options);
  const { body } = await client.removeNotary({ params: { peer_id: peer } }, { signal: io.signal });
  return print(io, body, options);
}
