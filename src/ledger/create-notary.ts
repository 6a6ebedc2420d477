import { committeeOf } from './certificates.ts';
import { CommitteeNotary } from './committee-notary.ts';
import { type Notary, type NotaryComponents, type NotaryInit, SingleNotary } from './notary.ts';

/** The notary that this node is: alone it decides in one round, among several each step is a vote. */
export function createNotary(components: NotaryComponents, init: NotaryInit): Notary {
  return committeeOf(init.genesis).keys.length === 1
    ? new SingleNotary(components, init)
    : new CommitteeNotary(components, init);
}
