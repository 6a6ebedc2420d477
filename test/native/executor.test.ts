import { suite } from 'uvu';
import { conformance } from '../sandbox/conformance.ts';
import { nativeSubject } from './support.ts';

const test = suite('native: executor');

conformance(test, () => nativeSubject());

test.run();
