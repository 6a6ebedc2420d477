import { suite } from 'uvu';
import { callSuite } from './call-suite.ts';
import { connectionSuite } from './connection-suite.ts';
import { createHarness } from './harness.ts';
import { streamSuite } from './stream-suite.ts';
import { topicSuite } from './topic-suite.ts';

const harness = createHarness('memory');
const test = suite('network: over memory');
test.after.each(() => harness.stop());

callSuite(test, harness);
streamSuite(test, harness);
topicSuite(test, harness);
connectionSuite(test, harness);

test.run();
