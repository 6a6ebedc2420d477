import { parseArgs } from 'node:util';
import { Simulation } from '../sim/simulation.ts';
import { RealNetwork, type ScaleInit, type ScaleResult } from './real-network.ts';

/** Tasks that are simulated beside the real ones: enough for the same figure twice. */
const SIMULATED = 20_000;

/** `npm run scale`: real nodes in this process, and beside them the simulator at the same load; see docs/scale.md. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '300' },
      tasks: { type: 'string', default: '500' },
      load: { type: 'string', default: '0.8' },
      slow: { type: 'string', default: '10' },
      seed: { type: 'string', default: '1' },
    },
  });
  const init: ScaleInit = {
    nodes: Number(values.nodes),
    tasks: Number(values.tasks),
    load: Number(values.load),
    slow: Number(values.slow),
    seed: Number(values.seed),
    rttMs: 1,
    // nothing fails here
    failEveryMs: 1e12,
    downMs: 1,
    binding: 'late',
    isUniform: true,
  };
  const alive = setInterval(() => undefined, 60_000);
  const began = performance.now();
  const say = (what: string) =>
    console.log(
      `${Math.round((performance.now() - began) / 1000)} s, ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB: ${what}`,
    );
  const network = new RealNetwork(init);
  await network.start();
  const connections = network.nodes.reduce((sum, { network }) => sum + network.peers().length, 0);
  say(`${init.nodes} nodes, ${(connections / init.nodes).toFixed(0)} connections each`);
  const real = await network.run();
  say(`${init.tasks} tasks have a worker`);
  await network.stop();
  const simulated = await new Simulation({ ...init, tasks: SIMULATED, rttMs: real.rttMs }).run();
  console.log(`\n${table(init, real, simulated)}`);
  clearInterval(alive);
}

type Overlap = Omit<ScaleResult, 'rttMs'>;

export function table(init: ScaleInit, real: ScaleResult, simulated: Overlap): string {
  const row = (what: string, { messages, p50Ms, p99Ms, utilisation, refusedAwards }: Overlap) =>
    `| ${what} | ${messages.toFixed(1)} | ${Math.round(p50Ms)} ms | ${Math.round(p99Ms)} ms | ${(100 * utilisation).toFixed(1)} % | ${(100 * refusedAwards).toFixed(1)} % |`;
  return [
    `| ${init.nodes} nodes, load ${init.load}, round trip ${real.rttMs.toFixed(1)} ms | messages a task | assignment p50 | p99 | slots in use | awards refused |`,
    '| --- | ---: | ---: | ---: | ---: | ---: |',
    row(`${init.tasks} tasks on real nodes`, real),
    row(`simulated, ${SIMULATED.toLocaleString('en')} tasks`, simulated),
  ].join('\n');
}

await main();
