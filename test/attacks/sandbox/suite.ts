import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Subject } from '../../sandbox/conformance.ts';
import { sandboxAttacks } from './attacks.ts';
import { canWithout, type LabRuntime, type SandboxAttack, type Verdict, type Without } from './lab.ts';

/** How a runtime's sandboxes come to be. */
export interface Factory {
  readonly runtime: LabRuntime;
  readonly create: (without?: Without) => Promise<Subject>;
  /** Runs `body` with an image that has these lines on top of the base image. */
  readonly withImage?: (lines: string, body: (ref: string) => Promise<void>) => Promise<void>;
}

async function attackOn(
  subject: Subject,
  { runtime, withImage }: Factory,
  { attack, image: lines }: SandboxAttack,
  without?: Without,
): Promise<Verdict> {
  const { executor } = subject;
  const weakened = without !== undefined;
  const on = async (ref: string) => {
    const image = await executor.ensureImage(ref, {});
    return attack({ executor, image, runtime, weakened, limits: without?.limits ?? {} });
  };
  if (lines === undefined) return on(subject.image);
  if (!withImage) throw new Error(`no image can be made for ${runtime}: say so in notOn`);
  const verdicts: Verdict[] = [];
  await withImage(lines, async ref => void verdicts.push(await on(ref)));
  return verdicts[0] as Verdict;
}

/** Has seen that nothing is left of it. */
async function end({ executor, leavesNothing }: Subject): Promise<void> {
  await executor.stop();
  await leavesNothing();
}

/** Every attack is stopped, in sandboxes as they always are: of one executor, so that the next ones are its neighbours. */
export function attacksAreStopped(test: Test, factory: Factory): void {
  let created: Promise<Subject> | undefined;
  const subject = () => {
    created ??= factory.create();
    return created;
  };
  for (const attack of sandboxAttacks) {
    if (attack.notOn?.[factory.runtime] !== undefined) continue;
    test(`stopped: ${attack.name}`, async () => {
      const { verdict, seen } = await attackOn(await subject(), factory, attack);
      assert.is(verdict, 'stopped', seen);
    });
  }
  test('nothing of all that is left', async () => end(await subject()));
}

/** Without its one protection each attack succeeds: what stops it is that protection, and not a fault of the attack. */
export function attacksSucceedWithout(test: Test, factory: Factory): void {
  for (const attack of sandboxAttacks) {
    const { control } = attack;
    if ('notTried' in control || !canWithout(control, factory.runtime)) continue;
    test(`without what stops it: ${attack.name}`, async () => {
      const subject = await factory.create(control);
      try {
        const { verdict, seen } = await attackOn(subject, factory, attack, control);
        assert.is(verdict, 'succeeded', seen);
        await end(subject);
      } finally {
        await subject.executor.stop();
      }
    });
  }
}
