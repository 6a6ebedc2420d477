import type { Command } from 'commander';
import { collect, command, configured, keyed, type Run, reading } from './command.ts';

/** Networks, members and invites. */
export function addMembers(program: Command, run: Run): void {
  const load = () => import('./commands/members.ts');
  const init = async () => (await load()).init;
  configured(
    command(program, run, 'init', 'Found a network in a data directory, before its first start', init),
  )
    .option('--network <name>', 'its name')
    .option('--currency <name>', 'FLOP or credits (default FLOP)')
    .option('--supply <amount>', 'all that there will be; the admin begins with it')
    .option('--fee <percent>', 'of each payment, to the admin')
    .option('--notary <peer>', 'a notary beside this node (repeatable)', collect)
    .option('--passphrase-file <file>', 'what opens the node’s key, where it is encrypted');
  const join = async () => (await load()).joinBy;
  reading(command(program, run, 'join <invite>', 'Join a network by an invite; - reads it from stdin', join));
  const invite = program.command('invite').description('Invites to the network, on the admin’s node');
  reading(invite.command('create', { isDefault: true }))
    .description('Make an invite: a secret for the one who joins')
    .option('--grant <amount>', 'what each account that joins gets (default 0)')
    .option('--uses <n>', 'how many may join by it (default 1)')
    .option('--expires <time>', 'until when: 30m, 12h, 7d (default 7d)')
    .action(async (_, self: Command) => {
      run.exitCode = await (await load()).invite(run.io, [], self.optsWithGlobals());
    });
  reading(command(invite, run, 'list', 'What became of them', async () => (await load()).invites));
  const revoke = async () => (await load()).revoke;
  reading(command(invite, run, 'revoke <id>', 'End one, and take back what is left of it', revoke));
  const members = program.command('members').description('Who is a member of the network');
  reading(members.command('list', { isDefault: true }))
    .description('List them')
    .action(async (_, self: Command) => {
      run.exitCode = await (await load()).members(run.io, [], self.optsWithGlobals());
    });
  const remove = async () => (await load()).remove;
  reading(command(members, run, 'remove <peer>', 'Make a guest of a member', remove));
  const admin = program.command('admin').description('The key of the network’s admin');
  const exportKey = async () => (await load()).exportAdmin;
  keyed(
    command(admin, run, 'export <file>', 'Write a copy of it, encrypted by a passphrase', exportKey),
  ).option('--key-passphrase-file <file>', 'the passphrase of the copy; otherwise it is asked for');
}
