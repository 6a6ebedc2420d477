import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { arrays } from './arrays.ts';
import { fairness } from './fairness.ts';
import { type Figure, table } from './figures.ts';
import { settlements } from './ledger.ts';
import { sandboxes } from './sandbox.ts';
import { againstDocker, assignmentAndMemory, startUp } from './sections.ts';
import { largeStreams } from './streams.ts';

const PAGE = fileURLToPath(new URL('../../docs/benchmarks.md', import.meta.url));

const sections: Record<string, () => Promise<Figure[]>> = {
  start: () => startUp(7),
  docker: () => againstDocker(21),
  sandbox: () => sandboxes(21, 6),
  streams: () => largeStreams(1000),
  ledger: () => settlements(41),
  market: () => assignmentAndMemory(60, 500),
  fairness,
  arrays: () => arrays(3000),
};

/** `npm run bench [section…]`; `--write` puts the tables of these sections into docs/benchmarks.md. */
async function main(words: readonly string[]): Promise<void> {
  const wanted = words.filter(word => !word.startsWith('--'));
  const unknown = wanted.find(word => !(word in sections));
  if (unknown) throw new Error(`no section ${unknown}; there are: ${Object.keys(sections).join(', ')}`);
  const all: Figure[] = [];
  for (const [name, section] of Object.entries(sections)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const figures = await section();
    if (words.includes('--write')) await write(name, figures);
    all.push(...figures);
  }
  console.log(table(all));
  process.exitCode = all.every(({ met }) => met) ? 0 : 1;
}

/** Replaces what stands between a section's marks. */
async function write(name: string, figures: readonly Figure[]): Promise<void> {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const text = await readFile(PAGE, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from)
    throw new Error(`${PAGE} has no place for the section ${name}: ${begin} … ${end}`);
  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'CPU'}, Node ${process.versions.node}`;
  const made = `\`npm run bench -- ${name}\`, ${new Date().toISOString().slice(0, 10)}, on ${machine}:`;
  const block = `${begin}\n${made}\n\n${table(figures)}\n`;
  await writeFile(PAGE, text.slice(0, from) + block + text.slice(to));
}

await main(process.argv.slice(2));
