import { readFileSync } from 'node:fs';
import { isScalar, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { CodedError, messageOf } from '../util/index.ts';
import { type Config, configSchema } from './options.ts';

/** One line that names the place and what is wrong there. */
export class ConfigError extends CodedError<{ code: 'CONFIG_INVALID'; place: string }> {
  constructor(place: string, message: string) {
    super({ code: 'CONFIG_INVALID', place }, `${place}: ${message}`);
  }
}

type Tree = Record<string, unknown>;

/** Keys that hold money. */
const AMOUNTS = [
  ['api', 'tokenless_daily_limit'],
  ['network', 'open_grant'],
  ['worker', 'price'],
  ['market', 'second_value'],
  ['ledger', 'min_amount'],
  ['ledger', 'supply'],
  ['ledger', 'max_per_task'],
  ['ledger', 'max_per_day'],
];

export interface ConfigSources {
  /** A YAML file; none: defaults. */
  readonly file?: string | undefined;
  /** `DUXNODE_<BLOCK>_<KEY>`, such as DUXNODE_API_PORT. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What flags say, by dotted key. */
  readonly flags: Readonly<Record<string, unknown>>;
}

/**
 * The merged configuration: flag over environment over file over default.
 * @throws ConfigError with `FILE:LINE:COLUMN`, or the variable's or flag's name.
 */
export function loadConfig({ file, env, flags }: ConfigSources): Config {
  const { tree, placeOf } = file === undefined ? { tree: {}, placeOf: () => undefined } : readYaml(file);
  const places = new Map<string, string>();
  for (const [key, value] of Object.entries(fromEnvironment(env)))
    put(tree, key, value, places, `environment ${nameOf(key)}`);
  for (const [key, value] of Object.entries(flags))
    if (value !== undefined) put(tree, key, value, places, `flag for ${key}`);
  const parsed = configSchema.safeParse(tree);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0] as z.core.$ZodIssue;
  const unknown = issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [];
  const path = [...issue.path.map(String), ...unknown];
  const place = places.get(path.join('.')) ?? placeOf(path) ?? 'configuration';
  const known = unknown.length > 0 ? 'unknown key' : issue.message;
  throw new ConfigError(place, `${path.join('.') || 'the file'}: ${known}`);
}

/** Every `<block>.<key>` that the schema knows. */
function knownKeys(): string[] {
  return Object.entries(configSchema.shape).flatMap(([block, schema]) =>
    Object.keys(schema.unwrap().shape).map(key => `${block}.${key}`),
  );
}

function nameOf(key: string): string {
  return `DUXNODE_${key.replace('.', '_').toUpperCase()}`;
}

/** Values as YAML reads them: `true`, `8001` and `[a, b]` mean what they mean in the file. */
function fromEnvironment(env: ConfigSources['env']): Tree {
  const found: Tree = {};
  for (const key of knownKeys()) {
    const text = env[nameOf(key)];
    if (text !== undefined) found[key] = parseDocument(text).toJS();
  }
  return found;
}

function put(tree: Tree, key: string, value: unknown, places: Map<string, string>, place: string): void {
  const [block = '', name = ''] = key.split('.');
  const current = tree[block];
  tree[block] = { ...(typeof current === 'object' ? current : {}), [name]: value };
  places.set(key, place);
}

function readYaml(file: string): { tree: Tree; placeOf: (path: readonly string[]) => string | undefined } {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(file, `cannot be read (${messageOf(error)})`);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, maxAliasCount: 0 } as Parameters<
    typeof parseDocument
  >[1]);
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const wrong = document.errors[0];
  if (wrong) throw new ConfigError(place(wrong.pos[0]), wrong.message.split('\n')[0] ?? 'not YAML');
  // an amount is what was written, not the float that it looks like
  for (const path of AMOUNTS) {
    const scalar: unknown = document.getIn(path, true);
    if (isScalar(scalar) && typeof scalar.value === 'number' && scalar.source !== undefined)
      scalar.value = scalar.source;
  }
  const tree = document.toJS({ maxAliasCount: 10 }) ?? {};
  if (typeof tree !== 'object' || Array.isArray(tree))
    throw new ConfigError(place(0), 'must be a mapping of blocks');
  return { tree, placeOf: path => nearest(document, path, place) };
}

/** The place of the key named by `path`, or of the nearest part of it that is in the file. */
function nearest(
  document: ReturnType<typeof parseDocument>,
  path: readonly string[],
  place: (offset: number) => string,
): string | undefined {
  let node: unknown = document.contents;
  let found: string | undefined;
  for (const part of path) {
    const items: unknown = node && typeof node === 'object' && 'items' in node ? node.items : undefined;
    if (!Array.isArray(items)) break;
    const pair = items.find(item => String(item?.key?.value) === part) ?? items[Number(part)];
    const range = pair?.key?.range ?? pair?.range;
    if (!range) break;
    found = place(range[0]);
    node = pair.value;
  }
  return found;
}
