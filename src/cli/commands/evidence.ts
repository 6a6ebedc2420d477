import { readFile } from 'node:fs/promises';
import { EXIT, usage } from '../exit.ts';
import type { Io } from '../io.ts';
import { json, printReport, table } from '../print.ts';
import { clientOf } from '../target.ts';
import type { ReadOptions } from './tasks.ts';

/** Who contradicted himself. */
export async function list(io: Io, _: readonly string[], options: ReadOptions): Promise<number> {
  const client = await clientOf(io, options);
  const { body } = await client.getEvidence({}, { signal: io.signal });
  const { evidence } = body;
  if (options.json) await io.out(json(body));
  else if (options.quiet) await io.out(evidence.map(({ signer }) => `${signer}\n`).join(''));
  else if (evidence.length === 0) await io.err('none\n');
  else {
    const rows = evidence.map(({ signer, role, rule, slot, found_at }) => [
      signer,
      role,
      rule,
      slot,
      found_at,
    ]);
    await io.out(table(['SIGNER', 'ROLE', 'WHAT', 'SLOT', 'FOUND'], rows));
  }
  return EXIT.done;
}

/** Checks a file of evidence by its bytes alone: no daemon is asked. */
export async function verify(io: Io, [file]: readonly string[], options: ReadOptions): Promise<number> {
  if (file === undefined) throw usage('give a file');
  const { reportEvidence } = await import('../../api/index.ts');
  const report = reportEvidence(await readFile(file, { encoding: 'utf8', signal: io.signal }));
  if (options.json) await io.out(json(report));
  else await printReport(io, report, report.evidence);
  return report.valid ? EXIT.done : EXIT.failed;
}
