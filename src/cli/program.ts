import { Command, CommanderError } from 'commander';
import { messageOf, VERSION } from '../util/index.ts';
import { collect, command, configured, keyed, type Run, reading, targeted, taskFlags } from './command.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import type { Io } from './io.ts';
import { addMembers } from './member-commands.ts';
import { addNotaries, addWallet } from './money-commands.ts';
import { plain } from './print.ts';

function addDaemon(program: Command, run: Run): void {
  const load = () => import('./commands/daemon.ts');
  configured(command(program, run, 'start', 'Run the daemon', async () => (await load()).start))
    .option(
      '--join <invite|addr>',
      'an invite, or a member’s address: joins its network (repeatable)',
      collect,
    )
    .option(
      '--passphrase-file <file>',
      'what opens the node’s key, where it is encrypted (DUXNODE_PASSPHRASE_FILE)',
    )
    .option('--detach', 'leave it running, return when it is ready')
    .addHelpText(
      'after',
      '\nExamples:\n  duxnode start --join dux1…\n  duxnode start --open --name home\n  duxnode start --join /ip4/192.0.2.7/tcp/4001/p2p/12D3Koo…',
    );
  targeted(command(program, run, 'stop', 'End the daemon cleanly', async () => (await load()).stop));
  const doctor = async () => (await import('./commands/doctor.ts')).doctor;
  configured(command(program, run, 'doctor', 'Check what a node needs, and say how to mend it', doctor));
  const config = program.command('config').description('The configuration');
  const showConfig = async () => (await import('./commands/config.ts')).showConfig;
  configured(command(config, run, 'show', 'Print the merged configuration', showConfig));
  const keys = () => import('./commands/identity.ts');
  const identity = keyed(
    command(
      program,
      run,
      'identity',
      'Print the peer id of a data directory, and make its key if there is none',
      async () => (await keys()).identity,
    ),
  ).option('--json', 'as JSON');
  for (const [made, summary] of [
    ['encrypt', 'Encrypt the key with a passphrase, which every start then needs'],
    ['decrypt', 'Put the key in clear again'],
  ] as const)
    keyed(command(identity, run, made, summary, async () => (await keys())[made]));
  const devnet = async () => (await import('./commands/devnet.ts')).devnet;
  command(program, run, 'devnet [n]', 'N real nodes on this machine (default 3), or stop', devnet)
    .option('--dir <dir>', 'where their data goes (default: a temporary directory)')
    .option('--api-port <n>', 'control port of the first; the others count up from it')
    .option('--config <file>', 'configuration of each')
    .option('--detach', 'leave them running until "duxnode devnet stop"')
    .option('--json', 'print JSON');
}

function addRun(program: Command, run: Run): void {
  const load = async () => (await import('./commands/run.ts')).run;
  taskFlags(
    targeted(
      command(program, run, 'run [command...]', 'Run a command on the network, like docker run', load),
    ),
  )
    .option('--out <dir>', 'save output files here')
    .option('-q, --quiet', 'nothing but the task’s own output')
    .addHelpText(
      'after',
      "\nExamples:\n  duxnode run -- echo hello\n  duxnode run --pay 0.5 --avoid self -v data:/inputs --out results -- python work.py\n  duxnode run --array 200 --array-retries 1 -- sh -c 'echo element $DUX_ARRAY_INDEX'",
    );
}

function addQuote(program: Command, run: Run): void {
  const load = async () => (await import('./commands/quote.ts')).quote;
  taskFlags(
    reading(command(program, run, 'quote [file|command...]', 'Who would run a task, and for how much', load)),
  ).addHelpText(
    'after',
    '\nA file ends in .yaml, .yml or .json; - is stdin. Nothing is submitted, and it costs nothing.\n\nExamples:\n  duxnode quote task.yaml\n  duxnode quote --pay 0.5 --memory 2g -- python work.py',
  );
}

function addTasks(program: Command, run: Run): void {
  const load = () => import('./commands/tasks.ts');
  reading(
    command(
      program,
      run,
      'submit [file]',
      'Submit tasks of a YAML or JSON file; - is stdin',
      async () => (await load()).submit,
    ),
  ).option('--wait', 'until they have ended');
  reading(command(program, run, 'tasks', 'List tasks, newest first', async () => (await load()).list))
    .option('--status <status>', 'only these')
    .option('--label <name=value>', 'only these')
    .option('--limit <n>', 'how many (default 50)')
    .option('--cursor <id>', 'after this one');
  reading(
    command(
      program,
      run,
      'task <id>',
      'All about a task, with every attempt and bid',
      async () => (await load()).show,
    ),
  ).option('--why', 'why each attempt went to its worker: the parts of every score');
  reading(command(program, run, 'logs <id>', 'A task’s output', async () => (await load()).logs)).option(
    '-f, --follow',
    'until it ends',
  );
  reading(command(program, run, 'result <id>', 'A task’s result', async () => (await load()).result))
    .option('--out <dir>', 'save output files here')
    .option('--index <n>', 'of this element of an array')
    .option('--wait', 'until it is there');
  reading(
    command(program, run, 'elements <id>', 'The elements of an array', async () => (await load()).elements),
  ).option('--status <status>', 'only these: waiting, running, completed, failed');
  reading(
    command(
      program,
      run,
      'retry <id...>',
      'Run again what of an array failed or was never run',
      async () => (await load()).retry,
    ),
  );
  reading(
    command(program, run, 'wait <id...>', 'Wait until tasks have ended', async () => (await load()).wait),
  ).option('--timeout <seconds>', 'give up after');
  reading(command(program, run, 'cancel <id...>', 'Cancel tasks', async () => (await load()).cancel));
  reading(
    command(program, run, 'accept <id...>', 'Release payments that wait', async () => (await load()).accept),
  );
  reading(
    command(
      program,
      run,
      'dispute <id...>',
      'Dispute results whose payment waits',
      async () => (await load()).dispute,
    ),
  ).option('--reason <text>', 'what is wrong');
}

function addViews(program: Command, run: Run): void {
  const load = () => import('./commands/views.ts');
  reading(command(program, run, 'status', 'The node on one screen', async () => (await load()).status));
  reading(command(program, run, 'peers', 'Who is connected', async () => (await load()).peers));
  const prune = async () => (await import('./commands/prune.ts')).prune;
  reading(command(program, run, 'prune', 'Free what old tasks and images hold', prune)).option(
    '--all',
    'every image that this node pulled and nobody uses now',
  );
  const receipt = program.command('receipt').description('Receipts: export and offline check');
  reading(receipt.command('export <id>', { isDefault: true }))
    .description('Write a task’s receipt')
    .option('-o, --output <file>', 'to this file')
    .option('--index <n>', 'of the bundle that ran this element of an array')
    .action(async (id: string, _, self: Command) => {
      run.exitCode = await (await load()).exportReceipt(run.io, [id], self.optsWithGlobals());
    });
  command(
    receipt,
    run,
    'verify <file>',
    'Check a receipt offline',
    async () => (await load()).verifyReceipt,
  ).option('--json', 'print JSON');
}

function addEvidence(program: Command, run: Run): void {
  const load = () => import('./commands/evidence.ts');
  const evidence = program.command('evidence').description('Proof against notaries and accounts that lied');
  reading(evidence.command('list', { isDefault: true }))
    .description('What this node has seen; --json writes a file that can be checked')
    .action(async (_, self: Command) => {
      run.exitCode = await (await load()).list(run.io, [], self.optsWithGlobals());
    });
  const verify = async () => (await load()).verify;
  command(evidence, run, 'verify <file>', 'Check a file of evidence offline', verify).option(
    '--json',
    'print JSON',
  );
}

function build(run: Run): Command {
  const program = new Command('duxnode')
    .description('Use several machines as one: submit a task anywhere, run it on another, attested and paid.')
    .version(VERSION)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: text => void run.io.out(text),
      writeErr: text => void run.io.err(text),
    })
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 task failed, 2 usage, 3 daemon not running, 4 refused (funds, no bids), 130 interrupted.\nrun ends with the exit code of its task.',
    );
  addDaemon(program, run);
  addRun(program, run);
  addQuote(program, run);
  addTasks(program, run);
  addViews(program, run);
  addWallet(program, run);
  addNotaries(program, run);
  addEvidence(program, run);
  addMembers(program, run);
  return program;
}

/** Runs one command line (without node and the program's name) and answers its exit code. */
export async function runProgram(io: Io, argv: readonly string[]): Promise<number> {
  const run: Run = { io, exitCode: EXIT.done };
  try {
    await build(run).parseAsync([...argv], { from: 'user' });
    return run.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    if (io.signal.aborted) return EXIT.interrupted;
    await io.err(`duxnode: ${plain(messageOf(error))}\n`);
    for (const field of fieldErrors(error)) await io.err(`  ${plain(field)}\n`);
    return exitCodeOf(error);
  }
}

/** Each wrong field that a daemon named, where there is more than the message says. */
function fieldErrors(error: unknown): string[] {
  const type = (error as { type?: { errors?: readonly { field: string; message: string }[] } }).type;
  const errors = type?.errors ?? [];
  return errors.length > 1 ? errors.map(({ field, message }) => `${field}: ${message}`) : [];
}
