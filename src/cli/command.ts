import type { Command } from 'commander';
import type { Io } from './io.ts';

/** What a command does. Each names the options that it declares; commander alone knows that it hands over those. */
export type Action = (io: Io, args: readonly string[], options: never) => Promise<number>;

/** What one run of the program ends with. */
export interface Run {
  readonly io: Io;
  exitCode: number;
}

export const collect = (item: string, before: string[] = []): string[] => [...before, item];

/** Commands are loaded when they run, so that --help costs nothing of them. */
export function command(
  parent: Command,
  run: Run,
  syntax: string,
  summary: string,
  load: () => Promise<Action>,
): Command {
  return parent
    .command(syntax)
    .description(summary)
    .action(async (...given: unknown[]) => {
      const self = given.at(-1) as Command;
      const action = await load();
      run.exitCode = await action(run.io, self.args, self.optsWithGlobals<never>());
    });
}

/** Which daemon. */
export function targeted(made: Command): Command {
  return made
    .option('--data <dir>', 'the daemon of this data directory (DUXNODE_DATA, ~/.duxnode)')
    .option('--api <url>', 'the daemon at this URL (DUXNODE_API)')
    .option('--token-file <file>', 'its API token (DUXNODE_TOKEN_FILE)');
}

/** How it prints. */
export function reading(made: Command): Command {
  return targeted(made).option('--json', 'print JSON').option('-q, --quiet', 'print ids alone');
}

/** What a task is, in the words of docker run; the command comes after them. */
export function taskFlags(made: Command): Command {
  return made
    .passThroughOptions()
    .option('--image <image>', 'container image')
    .option('--code <file>', 'run this Python file instead of a command; - is stdin')
    .option('--name <name>', 'a name for lists')
    .option('--entrypoint <program>', 'put before the command')
    .option('-w, --workdir <dir>', 'working directory')
    .option('--cpus <n>', 'CPU cores')
    .option('--memory <size>', 'memory: 512m, 2g')
    .option('--disk <size>', 'size of /task: 64m, 1g')
    .option('--timeout <seconds>', 'limit on the execution')
    .option('--pay <flop>', 'the most that is paid for it')
    .option('--max-total <flop>', 'the most for all its executions')
    .option('--verify <mode>', 'none or check')
    .option('--retries <n>', 'executions beyond the first')
    .option('--priority <n>', '1 to 10')
    .option('-e, --env <name=value>', 'environment variable (repeatable)', collect)
    .option('-v, --volume <path:target>', 'files to take along (repeatable)', collect)
    .option('--after <task>', 'start when this task has a good result (repeatable)', collect)
    .option('--from <task:output:target>', 'take a file that this task writes (repeatable)', collect)
    .option('--label <name=value>', 'label (repeatable)', collect)
    .option('--runtime <name>', 'docker, runsc (gVisor) or native; default whatever the worker uses')
    .option('--reuse', 'may run in a sandbox that ran tasks of yours before: faster')
    .option('--idempotent', 'may run twice: a silent worker’s task is given to another one too')
    .option('--resumable', 'goes on where its worker is started again in mid-task')
    .option(
      '--allow-host <host>',
      'let the task reach this host; workers that permit it (repeatable)',
      collect,
    )
    .option('--gpus <count>', 'GPUs')
    .option('--array <count>', 'once for each of so many elements, with DUX_ARRAY_INDEX in the environment')
    .option('--matrix <name=a,b,c>', 'once for each combination of such values (repeatable)', collect)
    .option('--array-retries <n>', 'runs of an element beyond the first, where its own code fails')
    .option('--avoid <peer>', 'not this peer; self is this node (repeatable)', collect)
    .option('--require <peer>', 'only this peer (repeatable)', collect)
    .option('--arbiter <peer>', 'may judge a dispute over it (repeatable)', collect);
}

export function configured(made: Command): Command {
  return made
    .option('--config <file>', 'the configuration (default: config.yaml of the data directory, if there)')
    .option('--data <dir>', 'the data directory (DUXNODE_DATA, ~/.duxnode)')
    .option('--api-port <n>', 'the control port')
    .option('--p2p-port <n>', 'the port for other nodes; 0 takes a free one')
    .option('--open', 'start a network that everybody who connects is a member of')
    .option('--name <name>', 'the name of the network that is started')
    .option('--no-worker', 'submit tasks, run none')
    .option('--json', 'print JSON');
}

/** The key of a data directory. */
export function keyed(made: Command): Command {
  return made
    .option('--data <dir>', 'the data directory (DUXNODE_DATA, ~/.duxnode)')
    .option('--passphrase-file <file>', 'what opens an encrypted key (DUXNODE_PASSPHRASE_FILE)');
}
