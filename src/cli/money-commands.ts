import type { Command } from 'commander';
import { command, type Run, reading, targeted } from './command.ts';

export function addWallet(program: Command, run: Run): void {
  const load = () => import('./commands/wallet.ts');
  const wallet = program.command('wallet').description('What this node’s account holds');
  reading(wallet.command('balance', { isDefault: true }))
    .description('The balance')
    .action(async (_, self: Command) => {
      run.exitCode = await (await load()).balance(run.io, [], self.optsWithGlobals());
    });
  reading(command(wallet, run, 'history', 'The account’s trail', async () => (await load()).history))
    .option('--limit <n>', 'how many (default 50)')
    .option('--before <n>', 'before this one');
  const shares = async () => (await load()).shares;
  reading(command(wallet, run, 'shares', 'Who lent to this node and who used it, by receipts', shares));
  const send = async () => (await load()).send;
  reading(command(wallet, run, 'send <peer> <amount>', 'Send money to another account', send))
    .option('--key <key>', 'an idempotency key: however often it is repeated, it is sent once')
    .option('--again', 'the same amount to the same peer once more, within ten minutes');
  const exportTrail = async () => (await load()).exportTrail;
  targeted(
    command(wallet, run, 'export', 'Write the account’s certificates, to be checked offline', exportTrail),
  )
    .option('--format <format>', 'json or csv (default json)')
    .option('-o, --output <file>', 'to this file');
  const verify = async () => (await load()).verifyTrail;
  command(wallet, run, 'verify <file>', 'Check an exported trail offline', verify).option(
    '--json',
    'print JSON',
  );
}

export function addNotaries(program: Command, run: Run): void {
  const load = () => import('./commands/notary.ts');
  const notary = program.command('notary').description('The nodes that decide on payments');
  reading(notary.command('list', { isDefault: true }))
    .description('Who they are, and what they bear')
    .action(async (_, self: Command) => {
      run.exitCode = await (await load()).list(run.io, [], self.optsWithGlobals());
    });
  const add = async () => (await load()).add;
  reading(command(notary, run, 'add <peer>', 'Make a node a notary (on the admin’s node)', add));
  const remove = async () => (await load()).remove;
  reading(command(notary, run, 'remove <peer>', 'Have a notary decide no more (likewise)', remove));
}
