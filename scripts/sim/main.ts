import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { omniscientMs } from './omniscient.ts';
import { picture } from './picture.ts';
import { Simulation } from './simulation.ts';
import { type Row, sizesTable, variantsTable } from './tables.ts';
import type { SimInit } from './world.ts';

const PAGE = fileURLToPath(new URL('../../docs/scale.md', import.meta.url));
const PICTURE = fileURLToPath(new URL('../../docs/scale.svg', import.meta.url));
const SIZES = '10,30,64,100,300,1000,10000,100000,1000000';
const HOUR_MS = 3_600_000;

/** One thing changed at a time, in a network of this many nodes. */
const VARIANTS_NODES = 1_000;
const variants: readonly [what: string, change: Partial<SimInit>][] = [
  ['as above', {}],
  ['load 0.5', { load: 0.5 }],
  ['load 0.95', { load: 0.95 }],
  ['each machine fails every hour', { failEveryMs: HOUR_MS }],
  ['median round trip 20 ms', { rttMs: 20 }],
  ['awards may wait in the worker’s queue', { binding: 'queue' }],
];

/** `npm run sim`: see docs/scale.md; `--write` puts tables and picture there. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: SIZES },
      tasks: { type: 'string', default: '20000' },
      load: { type: 'string', default: '0.8' },
      rtt: { type: 'string', default: '80' },
      seed: { type: 'string', default: '1' },
      write: { type: 'boolean', default: false },
    },
  });
  const base: Omit<SimInit, 'nodes'> = {
    tasks: Number(values.tasks),
    load: Number(values.load),
    rttMs: Number(values.rtt),
    seed: Number(values.seed),
    failEveryMs: 6 * HOUR_MS,
    downMs: HOUR_MS / 6,
    binding: 'late',
  };
  console.log(
    `seed ${base.seed}, ${base.tasks} tasks each, load ${base.load}, median round trip ${base.rttMs} ms`,
  );
  const sizes: Row[] = [];
  for (const nodes of values.nodes.split(','))
    sizes.push(await simulated(nodes, { ...base, nodes: Number(nodes) }));
  const changed: Row[] = [];
  for (const [what, change] of variants)
    changed.push(await simulated(what, { ...base, nodes: VARIANTS_NODES, ...change }));
  const tables = `${sizesTable(sizes)}\n\n${variantsTable(changed, VARIANTS_NODES)}`;
  console.log(`\n${tables}`);
  if (values.write) {
    await writeFile(PICTURE, picture(sizes));
    await writeTables(tables, base);
  }
}

async function simulated(what: string, init: SimInit): Promise<Row> {
  const started = performance.now();
  const result = await new Simulation(init).run();
  const row = { what, init, result, slowdown: result.meanMs / omniscientMs(init) };
  const seconds = Math.round((performance.now() - started) / 1000);
  const mib = Math.round(process.memoryUsage.rss() / 2 ** 20);
  console.log(`${what}: ${result.messages.toFixed(1)} messages a task (${seconds} s, ${mib} MiB)`);
  return row;
}

/** Replaces what stands between the marks. */
async function writeTables(tables: string, { seed, tasks }: Pick<SimInit, 'seed' | 'tasks'>): Promise<void> {
  const [begin, end] = ['<!-- sim -->', '<!-- /sim -->'];
  const text = await readFile(PAGE, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${PAGE} has no place for the tables: ${begin} … ${end}`);
  const machine = `${cpus()[0]?.model ?? 'CPU'}, Node ${process.versions.node}`;
  const made = `\`npm run sim\`, seed ${seed}, ${tasks} tasks each, on ${machine}:`;
  await writeFile(PAGE, `${text.slice(0, from)}${begin}\n${made}\n\n${tables}\n${text.slice(to)}`);
}

await main();
