import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LauncherReader } from '../../src/sandbox/launcher/protocol.ts';
import { OutputCutter } from '../../src/sandbox/outputs.ts';
import { codeOf } from '../../src/util/index.ts';
import { collectingSink, limits } from './conformance.ts';

const test = suite('sandbox: launcher protocol');

const nonce = Buffer.from('0123456789abcdef');
const mark = Buffer.concat([Buffer.from([0]), nonce]);
const end = { code: 0, signal: 0, cpuMs: 1, peakBytes: 2, oomKills: 0, truncated: false };
type Files = readonly (readonly [string, number])[];

function answer(value: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(value));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text]);
}

const conversation = (stdout: Buffer, files: Files, contents: Buffer) =>
  Buffer.concat([answer({ staged: true }), stdout, mark, answer({ ...end, files }), contents]);

/** The code of what reading `files` with `contents` throws, or the outputs. */
function read(files: Files, contents: Buffer): string | readonly string[] | undefined {
  const reader = new LauncherReader(nonce, limits);
  try {
    reader.push(conversation(Buffer.alloc(0), files, contents));
  } catch (error) {
    return codeOf(error);
  }
  const all = reader.takeContents();
  let at = 0;
  return reader.end?.outputs.map(({ path, size }) => {
    at += size;
    return `${path}=${all.subarray(at - size, at)}`;
  });
}

test('any split and any stdout, beginnings of the mark included: the same stdout, end and outputs', async () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 20 }).map(bytes => Buffer.from(bytes)),
    fc.nat(16).map(length => mark.subarray(0, length)),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(piece, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 40 })),
      fc.boolean(),
      async (pieces, cuts, isKept) => {
        const stdout = Buffer.concat(pieces);
        fc.pre(!stdout.includes(mark));
        const said = conversation(
          stdout,
          [
            ['a', 3],
            ['b/c', 0],
          ],
          Buffer.from(isKept ? '78797a' : 'xyz'),
        );
        const bytes = isKept ? Buffer.concat([answer({ ready: true }), said]) : said;
        const reader = new LauncherReader(nonce, limits, { hex: isKept, fromStart: isKept });
        const own: Buffer[] = [];
        const { sink, files } = collectingSink();
        let cutter: OutputCutter | undefined;
        const push = async (part: Buffer) => {
          own.push(reader.push(part));
          const contents = reader.takeContents();
          if (!reader.outputs) return;
          cutter ??= new OutputCutter(reader.outputs, sink);
          await cutter.push(contents);
        };
        let at = 0;
        for (const cut of cuts) {
          await push(bytes.subarray(at, at + cut));
          at += cut;
        }
        await push(bytes.subarray(at));
        assert.ok(Buffer.concat(own).equals(stdout));
        assert.is(reader.end?.code, 0);
        assert.equal(
          files.map(file => [file.path, Buffer.from(file.bytes).toString()]),
          [
            ['a', 'xyz'],
            ['b/c', ''],
          ],
        );
      },
    ),
    { numRuns: 10_000 },
  );
});

test('stdout that is held back comes out when the task ends without an end', () => {
  const reader = new LauncherReader(nonce, limits);
  const own = reader.push(Buffer.concat([answer({ staged: true }), Buffer.from('ab'), mark.subarray(0, 5)]));
  assert.is(own.toString(), 'ab');
  assert.ok(reader.flush().equals(mark.subarray(0, 5)));
  assert.is(reader.end, undefined);
});

test('hostile lists of outputs are refused', () => {
  assert.equal(read([['a', 1]], Buffer.from('x')), ['a=x']);
  for (const path of [
    '../x',
    '/etc/x',
    'a/../b',
    'a//b',
    '',
    '.',
    'a/',
    'a\\b',
    'a\0',
    'x'.repeat(300),
    '\ud800',
  ])
    assert.is(read([[path, 1]], Buffer.from('x')), 'SANDBOX_FAILED', JSON.stringify(path));
  assert.is(
    read(
      [
        ['a', 1],
        ['a', 1],
      ],
      Buffer.from('xy'),
    ),
    'SANDBOX_FAILED',
  );
  assert.is(
    read(
      [
        ['a', 1],
        ['a/b', 1],
      ],
      Buffer.from('xy'),
    ),
    'SANDBOX_FAILED',
  );
  assert.is(read([['a', limits.outputBytes + 1]], Buffer.alloc(0)), 'SANDBOX_FAILED');
  assert.is(read([['a', -1]], Buffer.alloc(0)), 'SANDBOX_FAILED');
  assert.is(read([['a', 0.5]], Buffer.alloc(0)), 'SANDBOX_FAILED');
  assert.is(read([['a', 1]], Buffer.from('xyz')), 'SANDBOX_FAILED');
  const many = Array.from({ length: limits.outputFiles + 1 }, (_, i): [string, number] => [`${i}`, 0]);
  assert.is(read(many, Buffer.alloc(0)), 'SANDBOX_FAILED');
});

test('files that come with fewer bytes than their list says are never whole', async () => {
  const reader = new LauncherReader(nonce, limits);
  reader.push(
    conversation(
      Buffer.alloc(0),
      [
        ['a', 2],
        ['b', 3],
      ],
      Buffer.from('aab'),
    ),
  );
  const { sink, files } = collectingSink();
  const cutter = new OutputCutter(reader.outputs ?? [], sink);
  await cutter.push(reader.takeContents());
  assert.equal(
    files.map(({ path }) => path),
    ['a'],
  );
  assert.is(reader.end, undefined, 'without the rest there is no end, and no result');
});

test('an answer that claims to be huge, or is no JSON, is refused before it is kept', () => {
  for (const bytes of [
    Buffer.from([255, 255, 255, 255]),
    Buffer.from([0, 0, 0, 2, 65, 66]),
    answer({ staged: 1 }),
  ]) {
    const reader = new LauncherReader(nonce, limits);
    let code = 'none';
    try {
      reader.push(bytes);
    } catch (error) {
      code = codeOf(error);
    }
    assert.is(code, 'SANDBOX_FAILED');
  }
});

test('stderr ends at its own mark, however it is split; without one, nothing is lost', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(60), fc.boolean(), (bytes, cut, marked) => {
      const own = Buffer.from(bytes);
      fc.pre(!own.includes(mark));
      const sent = marked ? Buffer.concat([own, mark]) : own;
      const reader = new LauncherReader(nonce, limits);
      reader.push(conversation(Buffer.alloc(0), [], Buffer.alloc(0)));
      const heard = [reader.pushStderr(sent.subarray(0, cut)), reader.pushStderr(sent.subarray(cut))];
      assert.is(reader.complete, marked);
      assert.ok(Buffer.concat([...heard, reader.flushStderr()]).equals(own));
    }),
  );
});

test('a kept output that does not begin at its beginning, and files that are no digits, break the protocol', () => {
  const brokenBy = (bytes: Buffer) => {
    const reader = new LauncherReader(nonce, limits, { hex: true, fromStart: true });
    try {
      reader.push(bytes);
      return undefined;
    } catch (error) {
      return codeOf(error);
    }
  };
  const ready = answer({ ready: true });
  const said = (digits: string) => conversation(Buffer.alloc(0), [['a', 3]], Buffer.from(digits));
  assert.is(brokenBy(Buffer.concat([ready, said('78797a')])), undefined);
  for (const digits of ['78797a00', '78zz7a', 'xyz!'])
    assert.is(brokenBy(Buffer.concat([ready, said(digits)])), 'SANDBOX_FAILED');
  assert.is(brokenBy(said('78797a')), 'SANDBOX_FAILED');
});

test.run();
