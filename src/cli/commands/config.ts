import { stringify } from 'yaml';
import { formatAmount } from '../../api/index.ts';
import { EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { json } from '../print.ts';
import { configOf, type StartOptions } from '../start.ts';

/** The merged configuration, as the daemon would take it. */
export async function showConfig(io: Io, _: readonly string[], options: StartOptions): Promise<number> {
  const config = await configOf(io, options);
  const shown: unknown = JSON.parse(
    JSON.stringify(config, (_key, value) => (typeof value === 'bigint' ? formatAmount(value) : value)),
  );
  await io.out(options.json ? json(shown) : stringify(shown));
  return EXIT.done;
}
