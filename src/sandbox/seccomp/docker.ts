import { type Condition, ENOSYS, EPERM, policy } from './policy.ts';

const allow = (names: readonly string[], ...args: object[]) => ({
  names,
  action: 'SCMP_ACT_ALLOW',
  ...(args.length > 0 ? { args } : {}),
});

function allowIf(condition: Condition): object[] {
  const { name, index } = condition;
  if ('oneOf' in condition)
    return condition.oneOf.map(value => allow([name], { index, value, op: 'SCMP_CMP_EQ' }));
  return [allow([name], { index, value: condition.withoutBits, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' })];
}

/**
 * The policy as the text that goes inline into a container's `SecurityOpt`.
 * Format: https://docs.docker.com/engine/security/seccomp/
 */
export const seccompProfile: string = JSON.stringify({
  defaultAction: 'SCMP_ACT_ERRNO',
  defaultErrnoRet: EPERM,
  archMap: [
    { architecture: 'SCMP_ARCH_X86_64', subArchitectures: [] },
    { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: [] },
  ],
  syscalls: [
    allow(policy.allowed),
    ...policy.conditions.flatMap(allowIf),
    { names: policy.missing, action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
  ],
});
