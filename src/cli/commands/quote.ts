import { bidTable } from '../bids.ts';
import { EXIT, usage } from '../exit.ts';
import { InputFiles } from '../inputs.ts';
import type { Io } from '../io.ts';
import { json } from '../print.ts';
import { clientOf } from '../target.ts';
import { readInputs, readTasks, type TaskBody } from '../task-file.ts';
import { type RunOptions, taskOfFlags } from './run.ts';

type QuoteOptions = RunOptions & { readonly json?: boolean };

/** Tasks of a file, or the one that the flags of `run` name. */
async function bodiesOf(io: Io, words: readonly string[], options: QuoteOptions): Promise<TaskBody[]> {
  const files = () => new InputFiles(() => clientOf(io, options), io.signal);
  const [file = ''] = words;
  if (words.length !== 1 || !/^-$|\.(json|ya?ml)$/.test(file))
    return [await taskOfFlags(io, words, options, files())];
  const { data: _, api, tokenFile, json, quiet, ...flags } = options;
  const [flag] = Object.keys(flags);
  if (flag) throw usage(`${file} says what the task is: leave out --${flag}`);
  const tasks: TaskBody[] = [];
  for (const task of await readTasks(io, file)) tasks.push(await readInputs(task, file, files()));
  return tasks;
}

/** Who would run a task, for how much and when, and why each other node would not. Refused where nobody would. */
export async function quote(io: Io, words: readonly string[], options: QuoteOptions): Promise<number> {
  const bodies = await bodiesOf(io, words, options);
  const client = await clientOf(io, options);
  const quotes = [];
  for (const body of bodies) {
    const { body: quoted } = await client.quoteTask({ body }, { signal: io.signal });
    quotes.push(quoted);
    const bidders = quoted.nodes.filter(({ refusal }) => refusal === null);
    if (options.quiet) await io.out(bidders.map(({ worker }) => `${worker}\n`).join(''));
    else if (!options.json) await io.out(bidTable(quoted.nodes));
  }
  if (options.json) await io.out(json(quotes.length === 1 ? quotes[0] : quotes));
  return quotes.every(({ would_bid }) => would_bid > 0) ? EXIT.done : EXIT.refused;
}
