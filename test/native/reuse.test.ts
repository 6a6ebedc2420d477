import { suite } from 'uvu';
import { reuseSuite } from '../sandbox/reuse-suite.ts';
import { nativeSubject } from './support.ts';

const test = suite('native: sandboxes that serve several tasks');

reuseSuite(test, () => nativeSubject());

test.run();
