import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Figure, table } from './figures.ts';
import { sandboxes } from './sandbox.ts';
import { againstDocker, assignmentAndMemory, startUp } from './sections.ts';
import { largeStreams } from './streams.ts';

const PAGE = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));

const sections: Record<string, () => Promise<Figure[]>> = {
  start: () => startUp(7),
  docker: () => againstDocker(21),
  sandbox: () => sandboxes(21, 6),
  streams: () => largeStreams(1000),
  market: () => assignmentAndMemory(60, 500),
};

/** `npm run bench [section…]`; `--write` puts the table into docs/benchmarks.md. */
async function main(words: readonly string[]): Promise<void> {
  const wanted = words.filter(word => !word.startsWith('--'));
  const unknown = wanted.find(word => !(word in sections));
  if (unknown) throw new Error(`no section ${unknown}; there are: ${Object.keys(sections).join(', ')}`);
  const figures: Figure[] = [];
  for (const [name, section] of Object.entries(sections))
    if (wanted.length === 0 || wanted.includes(name)) figures.push(...(await section()));
  console.log(table(figures));
  if (words.includes('--write')) await writeFile(PAGE, page(figures));
  process.exitCode = figures.every(({ met }) => met) ? 0 : 1;
}

function page(figures: readonly Figure[]): string {
  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'CPU'}, Node ${process.versions.node}`;
  return `# Benchmarks

Made by \`npm run bench -- --write\`, after \`scripts/quickstart.sh\` has set the machine up. Ratios are taken within one run on one machine, the
two sides in turn, medians throughout; absolute figures are of this machine alone.

Machine: ${machine}. Date: ${new Date().toISOString().slice(0, 10)}.

${table(figures)}

- *Submit to attested and paid result*: two daemons on loopback, a paid \`print(1)\` sent over HTTP to one, run on the other in a fresh hardened
  container, until the payment is certified and the receipt written; against \`docker run --rm --network none\` with the same limits and image.
- *Assignment*: from the submission to the first phase after the worker's signed acceptance.
- *Exit code in hand*: \`prepare\` and \`run\` of the executor alone, one task at a time with a sandbox that waits for it, no market and no network around it.
- *Tasks a second*: the best of 1, 2, 3, 4 and 6 at a time; with \`reuse\`, tasks of one owner run one after another in the same sandboxes. One-shot, the engine
  is what limits both sides: see [decision 0018](decisions/0018-ready-to-run.md).
- *Output through its cap*: a task that prints 100 MB and is stopped at 1 MiB, after a warm-up.
- *Input*: from the worker's first phase after the award to the start of the task, with the file checked by its content and a sandbox made for
  it; against a file read, sent over a plain socket on loopback, and written, by Node alone.
- *Growth*: RSS of the node that grew most, after a warm-up of a fifth as many tasks.
`;
}

await main(process.argv.slice(2));
