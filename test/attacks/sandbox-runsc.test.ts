import { suite } from 'uvu';
import { dockerSubject, IMAGE, withImage, withoutGvisor } from '../docker/support.ts';
import { attacksAreStopped } from './sandbox/suite.ts';

const test = suite('attacks: hostile tasks in gVisor');
const missing = await withoutGvisor();

if (missing) test.skip(missing, () => {});
else
  attacksAreStopped(test, {
    runtime: 'runsc',
    create: () => dockerSubject({ runtime: 'runsc', maxBoxes: 0 }),
    withImage: (lines, body) => withImage(`FROM ${IMAGE}\n${lines}\n`, {}, body),
  });

test.run();
