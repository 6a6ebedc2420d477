import { EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { json, plainLine, size } from '../print.ts';
import { clientOf } from '../target.ts';
import type { ReadOptions } from './tasks.ts';

/** Frees what old tasks and images hold, and says what that was. */
export async function prune(
  io: Io,
  _: readonly string[],
  options: ReadOptions & { all?: boolean },
): Promise<number> {
  const client = await clientOf(io, options);
  const query = { all: options.all ? ('true' as const) : ('false' as const) };
  const { body } = await client.pruneEngine({ query }, { signal: io.signal });
  const { images, results, note } = body;
  if (options.json) await io.out(json(body));
  else if (options.quiet) await io.out(images.map(({ name }) => `${name}\n`).join(''));
  else {
    for (const { name, size_bytes } of images)
      await io.out(`removed ${plainLine(name)}  ${size(size_bytes)}\n`);
    if (results.removed > 0)
      await io.out(`removed ${results.removed} results  ${size(results.freed_bytes)}\n`);
    await io.out(`freed ${size(body.freed_bytes)}\n`);
  }
  if (note !== null) await io.err(`images were not looked at: ${plainLine(note)}\n`);
  return EXIT.done;
}
