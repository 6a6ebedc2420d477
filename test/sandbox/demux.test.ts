import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Frame } from '../../src/sandbox/box.ts';
import { Demuxer } from '../../src/sandbox/docker/demux.ts';
import { codeOf } from '../../src/util/index.ts';

const test = suite('sandbox: demux');

const frameOf = (stream: Frame['stream'], bytes: Uint8Array) => {
  const header = Buffer.alloc(8);
  header.writeUInt8(stream === 'stdout' ? 1 : 2, 0);
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
};

/** Neighbouring pieces of one stream put together, empty ones dropped: how a stream is cut means nothing. */
function joined(frames: readonly Frame[]): [string, string][] {
  const whole: [string, string][] = [];
  for (const { stream, bytes } of frames) {
    if (bytes.length === 0) continue;
    const last = whole.at(-1);
    const hex = Buffer.from(bytes).toString('hex');
    if (last?.[0] === stream) last[1] += hex;
    else whole.push([stream, hex]);
  }
  return whole;
}

test('any split of the stream gives the same bytes in the same order', () => {
  const frame = fc.record({
    stream: fc.constantFrom<Frame['stream']>('stdout', 'stderr'),
    bytes: fc.uint8Array({ maxLength: 40 }).map(bytes => Buffer.from(bytes)),
  });
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 12 }),
      fc.array(fc.nat(60), { maxLength: 40 }),
      (frames, cuts) => {
        const stream = Buffer.concat(frames.map(({ stream, bytes }) => frameOf(stream, bytes)));
        const demuxer = new Demuxer();
        const found: Frame[] = [];
        let at = 0;
        for (const cut of cuts) {
          found.push(...demuxer.push(stream.subarray(at, at + cut)));
          at += cut;
        }
        found.push(...demuxer.push(stream.subarray(at)));
        assert.equal(joined(found), joined(frames));
      },
    ),
    { numRuns: 10_000 },
  );
});

test('a length of 4 GiB holds nothing back and keeps nothing', () => {
  const demuxer = new Demuxer();
  assert.equal(demuxer.push(Buffer.from([1, 0, 0, 0, 255, 255, 255, 255])), []);
  const [frame] = demuxer.push(Buffer.from('abc'));
  assert.is(frame?.bytes.toString(), 'abc');
});

test('a stream number that does not exist is an error', () => {
  const demuxer = new Demuxer();
  assert.is(
    codeOf(thrownBy(() => demuxer.push(Buffer.from([9, 0, 0, 0, 0, 0, 0, 1, 65])))),
    'SANDBOX_FAILED',
  );
});

function thrownBy(fn: () => unknown): unknown {
  try {
    fn();
  } catch (error) {
    return error;
  }
  throw new Error('it was expected to throw');
}

test.run();
