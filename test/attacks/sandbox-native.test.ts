import { suite } from 'uvu';
import { nativeSubject } from '../native/support.ts';
import { attacksAreStopped, attacksSucceedWithout, type Factory } from './sandbox/suite.ts';

const test = suite('attacks: hostile tasks natively');

const factory: Factory = {
  runtime: 'native',
  create: ({ options = {}, native: weaken } = {}) =>
    nativeSubject({ maxBoxes: 0, ...options }, weaken ? { weaken } : {}),
};

attacksAreStopped(test, factory);
attacksSucceedWithout(test, factory);

test.run();
