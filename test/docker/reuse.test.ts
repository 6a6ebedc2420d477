import { suite } from 'uvu';
import { reuseSuite } from '../sandbox/reuse-suite.ts';
import { dockerSubject } from './support.ts';

const test = suite('docker: sandboxes that serve several tasks');

reuseSuite(test, () => dockerSubject());

test.run();
