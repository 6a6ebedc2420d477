import { attemptsFound, attemptsSource } from '../../../src/sandbox/attempts.ts';
import type { Weakening } from '../../../src/sandbox/docker/boxes.ts';
import type { Executor, SandboxImage, SandboxResult, SandboxTask } from '../../../src/sandbox/index.ts';
import type { NativeWeakening } from '../../../src/sandbox/native/command.ts';
import type { BoxOptions } from '../../../src/sandbox/options.ts';
import { quiet, taskOf, textOf } from '../../sandbox/conformance.ts';

export type LabRuntime = 'docker' | 'native' | 'runsc';
export type LabLimits = Partial<SandboxTask['limits']>;

/** Where attacks are run: one executor, hardened as always or with one protection taken out. */
export interface Lab {
  readonly executor: Executor;
  readonly image: SandboxImage;
  readonly runtime: LabRuntime;
  /** True where a protection was taken out. What would then reach the host must not be tried. */
  readonly weakened: boolean;
  /** Over those that an attack asks for. */
  readonly limits: LabLimits;
}

/** What became of an attack: `partly` is neither a proof that it is stopped, nor that it would succeed without. */
export interface Verdict {
  readonly verdict: 'stopped' | 'partly' | 'succeeded';
  /** What was seen inside, for whoever has to find out why. */
  readonly seen: string;
}

/** The one protection, taken out: by an option or a limit that is wider, else for each runtime in its own way. */
export interface Without {
  readonly options?: Partial<BoxOptions>;
  readonly limits?: LabLimits;
  readonly docker?: Weakening;
  readonly native?: NativeWeakening;
}

/** Where the attack can be shown to succeed without. */
export const canWithout = ({ docker, native }: Without, runtime: LabRuntime): boolean =>
  runtime === 'docker' || (runtime === 'native' && (native !== undefined || docker === undefined));

/** One row of the table in docs/security.md, and its proof. */
export interface SandboxAttack {
  readonly name: string;
  /** What stops it. */
  readonly by: string;
  /** Where it does not apply, and why. */
  readonly notOn?: Partial<Record<LabRuntime, string>>;
  /** Lines of a Dockerfile for an image that the attack needs, on top of the base image. */
  readonly image?: string;
  readonly attack: (lab: Lab) => Promise<Verdict>;
  /** How it comes to succeed, or why that is not tried. */
  readonly control: Without | { readonly notTried: string };
}

export const verdictOf = (succeeded: boolean, seen: unknown): Verdict => ({
  verdict: succeeded ? 'succeeded' : 'stopped',
  seen: typeof seen === 'string' ? seen : JSON.stringify(seen),
});

export async function runIn(
  { executor, image, limits }: Lab,
  program: string | readonly string[],
  own: LabLimits = {},
): Promise<SandboxResult> {
  const prepared = await executor.prepare(taskOf(program, { limits: { ...own, ...limits } }), image, {});
  return prepared.run(quiet, {});
}

/** What went wrong or was said, in one line. */
export const saidBy = ({ outcome, exitCode, stdout, stderr }: SandboxResult): string =>
  `${outcome} ${exitCode} ${textOf(stdout).slice(0, 300)} ${textOf(stderr).slice(-300)}`;

/** Python statements, and the errors that show that they were stopped for the reason meant. */
export interface Try {
  readonly code: string;
  readonly errors: readonly string[];
  /** Left out once the protection is: it would reach the host, or meet another one. */
  readonly onlyHardened?: boolean;
  /** Left out there: it works, and does no harm. */
  readonly harmlessOn?: LabRuntime;
}

export const tried = (code: string, ...errors: string[]): Try => ({ code, errors });

/** An attack by statements: stopped when each of them ends in the error that was meant, succeeded when all are done. */
export function byTrying(tries: Readonly<Record<string, Try>>, prelude = ''): SandboxAttack['attack'] {
  return async lab => {
    const chosen = Object.entries(tries).filter(
      ([, { onlyHardened, harmlessOn }]) => !(lab.weakened && onlyHardened) && harmlessOn !== lab.runtime,
    );
    const source = attemptsSource(
      Object.fromEntries(chosen.map(([name, { code }]) => [name, code])),
      prelude,
    );
    const result = await runIn(lab, source);
    const found = attemptsFound(result.stdout);
    if (!found) return { verdict: 'partly', seen: saidBy(result) };
    const ends = chosen.map(([name, { errors }]) => ({ end: found[name] ?? 'NONE', errors }));
    // gVisor answers with errors of its own choice.
    const isMeant = ({ end, errors }: { end: string; errors: readonly string[] }) =>
      lab.runtime === 'runsc' ? end !== 'done' && end !== 'NONE' : errors.includes(end);
    const seen = JSON.stringify(found);
    if (ends.every(isMeant)) return { verdict: 'stopped', seen };
    return { verdict: ends.every(({ end }) => end === 'done') ? 'succeeded' : 'partly', seen };
  };
}
