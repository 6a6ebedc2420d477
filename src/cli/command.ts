import type { Command } from 'commander';
import type { Io } from './io.ts';

export type Action = (io: Io, args: readonly string[], options: Record<string, never>) => Promise<number>;

/** What one run of the program ends with. */
export interface Run {
  readonly io: Io;
  exitCode: number;
}

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
      run.exitCode = await action(run.io, self.args, self.optsWithGlobals());
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
