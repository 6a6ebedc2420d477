import { Readable } from 'node:stream';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Frame } from '../../src/sandbox/box.ts';
import { Demuxer } from '../../src/sandbox/docker/demux.ts';
import { keptFrames } from '../../src/sandbox/docker/kept-log.ts';
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

/** All frames of a log that is followed up to `end`, and then read whole. */
async function kept(live: Buffer, whole: Buffer): Promise<Frame[]> {
  const found: Frame[] = [];
  const log = { live: Readable.from([live]), whole: async () => Readable.from([whole]) };
  for await (const frame of keptFrames(log)) found.push(frame);
  return found;
}

test('a kept log that was followed to any point gives each byte once', async () => {
  const said: Frame[] = [
    { stream: 'stdout', bytes: Buffer.from('ready and begun\n') },
    { stream: 'stderr', bytes: Buffer.from('oops\n') },
    { stream: 'stdout', bytes: Buffer.from('the end') },
  ];
  const whole = Buffer.concat(said.map(({ stream, bytes }) => frameOf(stream, bytes)));
  for (let end = 0; end <= whole.length; end++)
    for (const name of ['stdout', 'stderr'] as const) {
      const only = (frames: readonly Frame[]) =>
        Buffer.concat(frames.filter(({ stream }) => stream === name).map(({ bytes }) => bytes)).toString();
      assert.is(only(await kept(whole.subarray(0, end), whole)), only(said));
    }
});

test('a kept log that began again, or is as long as the engine keeps, is no log', async () => {
  const reason = async (live: Buffer, whole: Buffer) => {
    try {
      await kept(live, whole);
      return '';
    } catch (error) {
      return String(error);
    }
  };
  const log = frameOf('stdout', Buffer.from('ready'));
  assert.is(await reason(log, log), '');
  assert.match(await reason(log, frameOf('stdout', Buffer.from('x\n'))), 'beginning');
  const lines = Buffer.concat(Array.from({ length: 500_000 }, () => frameOf('stdout', Buffer.from('\n'))));
  assert.match(await reason(lines, lines), 'more than the engine keeps');
});

test.run();
