import { mkdir } from 'node:fs/promises';
import { writeSealedKey } from '../../network/index.ts';
import { hasCode } from '../../util/index.ts';
import { EXIT, usage } from '../exit.ts';
import type { Io } from '../io.ts';
import { newPassphrase, passphraseOf } from '../passphrase.ts';
import { facts, json, table } from '../print.ts';
import { configOf, type StartOptions } from '../start.ts';
import { clientOf, dataDirOf } from '../target.ts';
import type { ReadOptions } from './tasks.ts';

const UNITS = { m: 60, h: 3600, d: 86_400 } as const;

/** `7d`, `12h`, `30m`. */
function secondsOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, count, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  if (count === undefined) throw usage(`${flag} is a time such as 30m, 12h or 7d, not ${text}`);
  return Number(count) * UNITS[unit as keyof typeof UNITS];
}

async function prepared(io: Io, options: StartOptions) {
  const dataDir = dataDirOf(io, options);
  const config = await configOf(io, options);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  return { config, dataDir, passphrase: await passphraseOf(io, options) };
}

/** Founds a network in a data directory, before its first start. */
export async function init(io: Io, _: readonly string[], options: StartOptions): Promise<number> {
  if (options.network === undefined) throw usage('name the network: --network NAME');
  const { initNetwork } = await import('../../node/index.ts');
  const { genesis, networkId } = await initNetwork(await prepared(io, options));
  const { name, admin, notaries, membership, currency } = genesis;
  const made = { network: name, network_id: networkId, admin, notaries, membership, currency };
  await io.out(
    options.json ? json(made) : facts(Object.entries(made).map(([key, value]) => [key, String(value)])),
  );
  await io.err('next: duxnode start\n');
  return EXIT.done;
}

/** Redeems an invite at a daemon that runs; otherwise prepares the data directory for its first start. */
export async function joinBy(
  io: Io,
  [given]: readonly string[],
  options: StartOptions & ReadOptions,
): Promise<number> {
  if (given === undefined) throw usage('give an invite, or - for one on stdin');
  const invite = (given === '-' ? await io.stdin() : given).trim();
  const client = await clientOf(io, options).catch(error => {
    if (hasCode(error, 'DAEMON_NOT_RUNNING')) return undefined;
    throw error;
  });
  if (client) {
    const { body } = await client.joinNetwork({ body: { invite } }, { signal: io.signal });
    await io.out(options.json ? json(body) : `a member of ${body.network}, with ${body.granted} granted\n`);
    return EXIT.done;
  }
  const { joinNetwork } = await import('../../node/index.ts');
  const { genesis, networkId } = await joinNetwork(await prepared(io, options), invite, {
    signal: io.signal,
  });
  await io.out(
    options.json
      ? json({ network: genesis.name, network_id: networkId })
      : `ready to join ${genesis.name} (${networkId})\n`,
  );
  await io.err('next: duxnode start\n');
  return EXIT.done;
}

export async function invite(
  io: Io,
  _: readonly string[],
  options: ReadOptions & { grant?: string; uses?: string; expires?: string },
): Promise<number> {
  const { grant, uses } = options;
  if (uses !== undefined && !/^\d{1,4}$/.test(uses)) throw usage(`--uses is a whole number, not ${uses}`);
  const terms = {
    grant,
    uses: uses === undefined ? undefined : Number(uses),
    expires_seconds: secondsOf('--expires', options.expires),
  };
  const client = await clientOf(io, options);
  const { body } = await client.createInvite({ body: terms }, { signal: io.signal });
  if (options.json) await io.out(json(body));
  else {
    await io.out(`${body.invite}\n`);
    await io.err(
      `good until ${body.expires_at}; on the other machine: duxnode start --join INVITE\nWhoever has it may join: hand it on like a password. To end it: duxnode invite revoke ${body.id}\n`,
    );
  }
  return EXIT.done;
}

export async function invites(io: Io, _: readonly string[], options: ReadOptions): Promise<number> {
  const client = await clientOf(io, options);
  const { body } = await client.listInvites({}, { signal: io.signal });
  if (options.json) await io.out(json(body));
  else if (options.quiet) await io.out(body.invites.map(({ id }) => `${id}\n`).join(''));
  else {
    const rows = body.invites.map(({ id, state, grant, uses, used, expires_at }) => [
      id,
      state,
      `${used} of ${uses}`,
      grant,
      expires_at,
    ]);
    await io.out(table(['INVITE', 'STATE', 'USED', 'GRANT', 'UNTIL'], rows));
  }
  return EXIT.done;
}

export async function revoke(io: Io, [id]: readonly string[], options: ReadOptions): Promise<number> {
  if (id === undefined) throw usage('give the id of an invite, as duxnode invite list shows it');
  const client = await clientOf(io, options);
  const { body } = await client.revokeInvite({ params: { id } }, { signal: io.signal });
  await io.out(options.json ? json(body) : `revoked; ${body.returned} came back\n`);
  return EXIT.done;
}

export async function members(io: Io, _: readonly string[], options: ReadOptions): Promise<number> {
  const client = await clientOf(io, options);
  const { body } = await client.listMembers({}, { signal: io.signal });
  if (options.json) await io.out(json(body));
  else if (options.quiet) await io.out(body.members.map(({ peer_id }) => `${peer_id}\n`).join(''));
  else {
    const rows = body.members.map(({ peer_id, invite: by }) => [peer_id, by ?? 'genesis']);
    await io.out(table(['MEMBER', 'BY INVITE'], rows));
    if (body.membership === 'open') await io.err('the network is open: everybody else is a member too\n');
  }
  return EXIT.done;
}

export async function remove(io: Io, [peer]: readonly string[], options: ReadOptions): Promise<number> {
  if (peer === undefined) throw usage('give a peer id, as duxnode members shows it');
  const client = await clientOf(io, options);
  const { body } = await client.removeMember({ params: { id: peer } }, { signal: io.signal });
  await io.out(options.json ? json(body) : `${body.peer_id} is a guest now\n`);
  return EXIT.done;
}

/** A copy of the admin's key, encrypted by a passphrase of its own. */
export async function exportAdmin(
  io: Io,
  [file]: readonly string[],
  options: StartOptions & { keyPassphraseFile?: string },
): Promise<number> {
  if (file === undefined) throw usage('give a file to write');
  const { requireAdmin } = await import('../../node/index.ts');
  const identity = await requireAdmin(dataDirOf(io, options), await passphraseOf(io, options));
  const passphrase = await newPassphrase({ ...io, env: {} }, { passphraseFile: options.keyPassphraseFile });
  await writeSealedKey(file, identity, passphrase);
  await io.out(`${file}: the key of ${identity.peer}, encrypted\n`);
  await io.err(
    'To use it, put it as identity.key (mode 600) into a data directory. Run it on one machine at a time.\n',
  );
  return EXIT.done;
}
