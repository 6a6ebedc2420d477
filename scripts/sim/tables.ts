import type { SimResult } from './simulation.ts';
import type { SimInit } from './world.ts';

/** One simulation, and how its mean time to a result compares to the omniscient scheduler’s. */
export interface Row {
  readonly what: string;
  readonly init: SimInit;
  readonly result: SimResult;
  readonly slowdown: number;
}

const HEAD = [
  'messages a task',
  'assignment p50',
  'p99',
  'slowdown',
  'slots in use',
  'rounds a task',
  'awards refused',
  'attempts lost',
  'new peers met',
];

export function sizesTable(rows: readonly Row[]): string {
  return table('nodes', rows, ({ init }) => init.nodes.toLocaleString('en'));
}

export function variantsTable(rows: readonly Row[], nodes: number): string {
  return table(`${nodes.toLocaleString('en')} nodes`, rows, ({ what }) => what);
}

function table(first: string, rows: readonly Row[], nameOf: (row: Row) => string): string {
  const head = [first, ...HEAD];
  const lines = rows.map(row => [nameOf(row), ...cells(row)]);
  return [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...lines]
    .map(cellsOf => `| ${cellsOf.join(' | ')} |`)
    .join('\n');
}

function cells({ result, slowdown }: Row): string[] {
  return [
    result.messages.toFixed(1),
    milliseconds(result.p50Ms),
    milliseconds(result.p99Ms),
    slowdown.toFixed(2),
    percent(result.utilisation),
    result.rounds.toFixed(3),
    percent(result.refusedAwards),
    percent(result.failures),
    result.met.toFixed(2),
  ];
}

const percent = (share: number): string => `${(100 * share).toFixed(share < 0.01 ? 2 : 1)} %`;

function milliseconds(ms: number): string {
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1000)} s`;
}
