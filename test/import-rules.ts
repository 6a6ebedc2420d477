import { posix } from 'node:path';

export interface ImportRules {
  /** Rooms from the lowest to the highest; a room may import those before it. */
  readonly rooms: readonly string[];
  /** Files besides `index.ts` that other rooms may import, each for a reason. */
  readonly entries: readonly string[];
  /** Packages whose values only one room may import; types are free. */
  readonly kept: { readonly room: string; readonly packages: RegExp };
  readonly maxLines: number;
}

/** Path below src to source text. */
export type Sources = ReadonlyMap<string, string>;

interface Import {
  readonly target: string;
  readonly typeOnly: boolean;
}

const STATEMENT = /^\s*(?:import|export)\s+(type\s)?[^'";]*?\bfrom\s*['"]([^'"]+)['"]/gm;
const SIDE_EFFECT = /^\s*import\s*['"]([^'"]+)['"]/gm;
const DYNAMIC = /\bimport\(\s*['"]([^'"]+)['"]/g;

/** What `source` imports. `import { type X }` counts as a value: it still loads the module. */
export function importsOf(source: string): Import[] {
  const statements = [...source.matchAll(STATEMENT)].map(([, type, target]) => ({
    target: target!,
    typeOnly: type !== undefined,
  }));
  const others = [...source.matchAll(SIDE_EFFECT), ...source.matchAll(DYNAMIC)];
  return [...statements, ...others.map(([, target]) => ({ target: target!, typeOnly: false }))];
}

/** Every breach of `rules` in `sources`, as sentences that name the file. */
export function breaches(sources: Sources, rules: ImportRules): string[] {
  const found: string[] = [];
  for (const [path, source] of sources) {
    const lines = source.split('\n').length - 1;
    if (lines > rules.maxLines) found.push(`${path} has ${lines} lines; at most ${rules.maxLines}`);
    if (!rules.rooms.includes(roomOf(path))) found.push(`${path} is in no room`);
    for (const { target, typeOnly } of importsOf(source)) {
      const fault = target.startsWith('.')
        ? relativeFault(path, resolve(path, target), rules)
        : packageFault(path, target, typeOnly, rules);
      if (fault) found.push(`${path} ${fault}`);
    }
  }
  return [...found, ...circles(sources).map(files => `a circle of imports: ${files.join(', ')}`)];
}

function relativeFault(path: string, target: string, rules: ImportRules): string | undefined {
  if (!target.endsWith('.ts')) return undefined;
  if (target.startsWith('..')) return `imports ${target}, which is outside src`;
  const [from, to] = [roomOf(path), roomOf(target)];
  if (from === to) return target === `${to}/index.ts` ? 'imports the index.ts of its own room' : undefined;
  if (rules.rooms.indexOf(to) >= rules.rooms.indexOf(from)) return `imports up: ${target}`;
  if (target !== `${to}/index.ts` && !rules.entries.includes(target))
    return `imports ${target} past ${to}/index.ts`;
  return undefined;
}

function packageFault(path: string, name: string, typeOnly: boolean, rules: ImportRules): string | undefined {
  const { room, packages } = rules.kept;
  if (typeOnly || roomOf(path) === room || !packages.test(name)) return undefined;
  return `imports ${name}, which only ${room} may`;
}

function roomOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : '';
}

function resolve(path: string, target: string): string {
  return posix.join(posix.dirname(path), target);
}

/** Groups of files that import one another in a ring (strongly connected components, Tarjan 1972); types count too. */
function circles(sources: Sources): string[][] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const groups: string[][] = [];
  const visit = (path: string): number => {
    order.set(path, order.size);
    low.set(path, order.get(path)!);
    stack.push(path);
    for (const { target } of importsOf(sources.get(path)!)) {
      const next = target.startsWith('.') ? resolve(path, target) : '';
      if (!sources.has(next)) continue;
      if (next === path) groups.push([path]);
      if (!order.has(next)) low.set(path, Math.min(low.get(path)!, visit(next)));
      else if (stack.includes(next)) low.set(path, Math.min(low.get(path)!, order.get(next)!));
    }
    if (low.get(path) === order.get(path)) {
      const group = stack.splice(stack.indexOf(path));
      if (group.length > 1) groups.push(group.sort());
    }
    return low.get(path)!;
  };
  for (const path of sources.keys()) if (!order.has(path)) visit(path);
  return groups;
}
