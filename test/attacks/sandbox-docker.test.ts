import { suite } from 'uvu';
import { dockerSubject, IMAGE, withImage } from '../docker/support.ts';
import { attacksAreStopped, attacksSucceedWithout, type Factory } from './sandbox/suite.ts';

const test = suite('attacks: hostile tasks in docker');

const factory: Factory = {
  runtime: 'docker',
  create: ({ options = {}, docker: weaken } = {}) =>
    dockerSubject({ maxBoxes: 0, ...options }, weaken ? { weaken } : {}),
  withImage: (lines, body) => withImage(`FROM ${IMAGE}\n${lines}\n`, {}, body),
};

attacksAreStopped(test, factory);
attacksSucceedWithout(test, factory);

test.run();
