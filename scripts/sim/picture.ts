import type { Row } from './tables.ts';

/** A chart of curves over the network's size, both axes logarithmic. */
interface Chart {
  readonly title: string;
  readonly unit: string;
  readonly from: number;
  readonly to: number;
  readonly curves: readonly {
    readonly name: string;
    readonly color: string;
    readonly at: (row: Row) => number;
  }[];
}

const charts: readonly Chart[] = [
  {
    title: 'messages a task',
    unit: '',
    from: 1,
    to: 10_000,
    curves: [
      { name: 'asking everyone: 2 N', color: '#b0b0b0', at: ({ init }) => 2 * init.nodes },
      { name: 'duxnode', color: '#0b6e4f', at: ({ result }) => result.messages },
    ],
  },
  {
    title: 'from submission to an accepted award',
    unit: ' ms',
    from: 10,
    to: 100_000,
    curves: [
      { name: 'p99', color: '#c8553d', at: ({ result }) => result.p99Ms },
      { name: 'p50', color: '#0b6e4f', at: ({ result }) => result.p50Ms },
    ],
  },
];

const [WIDTH, HEIGHT, LEFT, TOP, GAP] = [360, 240, 70, 40, 90];

/** The figures of a network by its size, as SVG. */
export function picture(rows: readonly Row[]): string {
  const width = LEFT + charts.length * (WIDTH + GAP);
  const body = charts.map((chart, i) => drawn(chart, rows, LEFT + i * (WIDTH + GAP))).join('\n');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${TOP + HEIGHT + 50}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
${body}
</svg>
`;
}

function drawn({ title, unit, from, to, curves }: Chart, rows: readonly Row[], left: number): string {
  const sizes = rows.map(({ init }) => init.nodes);
  const x = scale(Math.min(...sizes), Math.max(...sizes), left, left + WIDTH);
  const y = scale(from, to, TOP + HEIGHT, TOP);
  const lines = [text(left, TOP - 15, title, 'font-weight="bold"')];
  for (const value of powers(from, to)) {
    lines.push(`<path d="M${left} ${y(value)}h${WIDTH}" stroke="#e4e4e4"/>`);
    lines.push(text(left - 6, y(value) + 4, value.toLocaleString('en') + unit, 'text-anchor="end"'));
  }
  for (const nodes of powers(Math.min(...sizes), Math.max(...sizes)))
    lines.push(text(x(nodes), TOP + HEIGHT + 18, short(nodes), 'text-anchor="middle"'));
  lines.push(text(left + WIDTH / 2, TOP + HEIGHT + 38, 'nodes', 'text-anchor="middle"'));
  for (const { name, color, at } of curves) {
    const points = rows.filter(row => at(row) <= to).map(row => ({ x: x(row.init.nodes), y: y(at(row)) }));
    const last = points.at(-1);
    if (!last) continue;
    lines.push(
      `<polyline points="${points.map(point => `${point.x},${point.y}`).join(' ')}" fill="none" stroke="${color}" stroke-width="2"/>`,
      ...points.map(point => `<circle cx="${point.x}" cy="${point.y}" r="3" fill="${color}"/>`),
      text(last.x, last.y - 8, name, `text-anchor="end" fill="${color}"`),
    );
  }
  return lines.join('\n');
}

/** From a logarithmic range to one of the picture. */
function scale(from: number, to: number, start: number, end: number): (value: number) => number {
  const span = Math.log(to / from) || 1;
  return value => Math.round(start + ((end - start) * Math.log(value / from)) / span);
}

function powers(from: number, to: number): number[] {
  const first = Math.ceil(Math.log10(from));
  const last = Math.floor(Math.log10(to));
  return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
}

function short(nodes: number): string {
  if (nodes >= 1_000_000) return `${nodes / 1_000_000} M`;
  return nodes >= 1_000 ? `${nodes / 1_000} k` : String(nodes);
}

function text(x: number, y: number, content: string, rest: string): string {
  return `<text x="${x}" y="${y}" ${rest}>${content}</text>`;
}
