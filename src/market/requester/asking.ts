import { type Asked, fetchedBytes, type Genesis, taskSpecMessage } from '../../wire/index.ts';
import type { TaskPolicy, TaskRequest } from '../interface.ts';
import { termsFor } from '../terms.ts';
import type { RequesterComponents } from './interface.ts';

/** What workers are told of a task before one of them has it. */
export function askedFor(
  { settlement, options }: Pick<RequesterComponents, 'settlement' | 'options'>,
  { spec, policy }: TaskRequest,
): Asked {
  const isPaid = policy.payment > 0n;
  return {
    needs: {
      milliCpus: spec.milliCpus,
      memoryBytes: spec.memoryBytes,
      diskBytes: spec.diskBytes,
      gpus: spec.gpus,
      network: spec.allowHosts.length > 0,
      runtime: spec.runtime,
      architecture: null,
      image: spec.image,
      inputBytes: taskSpecMessage.encode(spec).length + fetchedBytes(spec),
      outputBytes: spec.outputBytes,
      ...(spec.members ? { members: spec.members.length } : {}),
    },
    terms: termsFor(spec, options.windows, isPaid ? policy.arbiters : []),
    maxPrice: policy.payment,
    priority: policy.priority,
    deadline: policy.deadline,
    verification: policy.verification,
    funds: isPaid ? settlement.funds() : null,
  };
}

/** Whether the task's owner lets `peer` have it. */
export function isWanted({ avoidPeers, requirePeers }: TaskPolicy, peer: string): boolean {
  return !avoidPeers.includes(peer) && (requirePeers.length === 0 || requirePeers.includes(peer));
}

/** Whether such an ask can be locked. */
export function isPayable(
  ask: bigint,
  maxPrice: bigint,
  { genesis }: { readonly genesis: { readonly genesis: Pick<Genesis, 'minAmount'> } },
): boolean {
  return ask === 0n || (ask >= genesis.genesis.minAmount && ask <= maxPrice);
}
