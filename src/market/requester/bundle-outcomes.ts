import { type Clock, CodedError, hasCode } from '../../util/index.ts';
import { compileResultSchema } from '../../verification/index.ts';
import {
  bundleResultMessage,
  type MemberResult,
  memberPath,
  OUTCOME,
  ranWell,
  type TaskPolicy,
  type TaskSpec,
} from '../../wire/index.ts';
import type { Delivery } from './follow-end.ts';

/** A format that a stranger's output sends into backtracking takes 500 ms each time; in an honest one a thousand checks take a few. */
const CHECKS_MS = 2_000;

/**
 * What became of each of a bundle's elements, by its result: a run that ended badly, left out a file, or whose output is not in the user's
 * format has failed.
 * @throws WireError, or CodedError `BUNDLE_INVALID`, for a result that is none of this bundle.
 */
export function bundleOutcomes(
  { clock }: { readonly clock: Clock },
  spec: TaskSpec,
  { verification, resultSchema }: TaskPolicy,
  { message, outputs }: Pick<Delivery, 'outputs'> & { readonly message: { readonly stdout: Uint8Array } },
): Uint8Array {
  const members = spec.members?.length ?? 0;
  const { runs } = bundleResultMessage.decode(message.stdout);
  if (runs.length > members)
    throw new CodedError({ code: 'BUNDLE_INVALID' }, 'it has more results than it was to have');
  const paths = new Set(outputs.map(({ path }) => path));
  const format =
    verification === 'check' && resultSchema !== null ? compileResultSchema(resultSchema) : undefined;
  const end = clock.monotonic() + CHECKS_MS;
  const isGood = (run: MemberResult, member: number) =>
    ranWell(run) &&
    spec.outputs.every(path => paths.has(memberPath(member, path))) &&
    (!format || (clock.monotonic() < end && fits(format, run.stdout)));
  const outcomes = new Uint8Array(members).fill(OUTCOME.notRun);
  runs.forEach((run, member) => {
    outcomes[member] = isGood(run, member) ? OUTCOME.completed : OUTCOME.failed;
  });
  return outcomes;
}

function fits(format: ReturnType<typeof compileResultSchema>, stdout: Uint8Array): boolean {
  try {
    format.check(stdout);
    return true;
  } catch (error) {
    if (hasCode(error, 'RESULT_NOT_JSON', 'RESULT_SCHEMA')) return false;
    throw error;
  }
}
