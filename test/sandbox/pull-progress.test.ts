import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createPullProgress, type PullEvent } from '../../src/sandbox/docker/pull-progress.ts';

const test = suite('sandbox: progress of a pull');

const fractions = (events: readonly PullEvent[]): (number | null)[] => {
  const progress = createPullProgress();
  return events.map(event => progress(event).fraction);
};
const at = (id: string, status: string, current?: number, total?: number): PullEvent => ({
  id,
  status,
  progressDetail: current === undefined || total === undefined ? {} : { current, total },
});

test('nothing is known until a layer is named; the line about the whole image is none', () => {
  assert.equal(fractions([at('latest', 'Pulling from library/x'), { status: 'Digest: sha256:1' }]), [
    null,
    null,
  ]);
});

test('a layer counts by its bytes, and unpacking for a fifth of it', () => {
  const events = [
    at('a', 'Pulling fs layer'),
    at('b', 'Pulling fs layer'),
    at('a', 'Downloading', 0, 300),
    at('b', 'Downloading', 50, 100),
    at('b', 'Download complete'),
    at('a', 'Downloading', 300, 300),
    at('a', 'Extracting', 500, 1000),
    at('a', 'Pull complete'),
    at('b', 'Pull complete'),
  ];
  const rounded = fractions(events).map(fraction => fraction && Number(fraction.toFixed(3)));
  assert.equal(rounded, [0, 0, 0, 0.1, 0.2, 0.8, 0.875, 0.95, 1]);
});

test('a small layer that is done first does not make the whole look done', () => {
  const events = [...'abcd'].map(id => at(id, 'Pulling fs layer'));
  const last = fractions([...events, at('a', 'Downloading', 1, 1), at('a', 'Pull complete')]).at(-1) ?? 0;
  assert.is(last, 0.25);
});

test('it never falls, whatever is said: layers that come late, nonsense, too many', () => {
  const events = [
    at('a', 'Already exists'),
    at('b', 'Pulling fs layer'),
    at('b', 'Downloading', 9e99, 1),
    at('b', 'Downloading', -5, 1),
    at('b', 'Downloading', Number.NaN, Number.NaN),
    ...Array.from({ length: 5000 }, (_, i) => at(`late-${i}`, 'Pulling fs layer')),
  ];
  let before = 0;
  for (const fraction of fractions(events)) {
    assert.ok(fraction !== null && fraction >= before && fraction <= 1, String(fraction));
    before = fraction;
  }
});

test.run();
