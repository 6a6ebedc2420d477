import type { GenesisInfo } from '../wire/index.ts';
import { isFounderAlone } from './committee.ts';
import { CommitteeNotary } from './committee-notary.ts';
import { Committees } from './committees.ts';
import { type Notary, type NotaryComponents, SingleNotary } from './notary.ts';

/** Without `committees` it knows those of the genesis alone. */
export type NotaryParts = Omit<NotaryComponents, 'committees'> & { readonly committees?: Committees };

export interface NotaryInit {
  readonly genesis: GenesisInfo;
}

/** The notary that this node is: alone it decides in one round, among several each step is a vote. */
export function createNotary(parts: NotaryParts, { genesis }: NotaryInit): Notary {
  const { committees = new Committees(parts, genesis) } = parts;
  const components = { ...parts, committees };
  return isFounderAlone(committees.current) ? new SingleNotary(components) : new CommitteeNotary(components);
}
