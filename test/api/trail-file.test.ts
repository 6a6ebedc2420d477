import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { reportTrail, type TrailReport, writeTrail } from '../../src/api/index.ts';
import * as s from '../ledger/support.ts';
import { info, partsOf, story } from '../ledger/trails.ts';

const test = suite('api: exported trails');

async function fileOf(format: 'json' | 'csv', entries = story(), signer = s.alice): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of writeTrail(partsOf(entries, signer), format)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Handed over in pieces that end anywhere. */
async function* pieces(bytes: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

const judge = (bytes: Uint8Array): Promise<TrailReport> => reportTrail(pieces(bytes));
const codeOf = async (bytes: Uint8Array) => (await judge(bytes)).error?.code ?? 'VALID';

for (const format of ['json', 'csv'] as const) {
  test(`${format}: whole, it proves the balance`, async () => {
    const bytes = await fileOf(format);
    assert.equal(await judge(bytes), {
      valid: true,
      error: null,
      trail: {
        account: s.alice.peer,
        network: 'test-net',
        network_id: info.networkId,
        notaries: 4,
        quorum: 3,
        entries: 8,
        lines: 12,
        orders: 2,
        balance: '97.00000004',
        locked: '1',
        incoming: '0',
        at: new Date(s.T0).toISOString(),
      },
    });
    for (const size of [1, 7, bytes.length]) assert.ok((await reportTrail(pieces(bytes, size))).valid);
    assert.ok((await judge(await fileOf(format, [], s.carol))).valid, 'an empty trail');
  });

  test(`${format}: any flipped byte is found`, async () => {
    const bytes = await fileOf(format, story().slice(-1));
    const missed: number[] = [];
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Uint8Array.from(bytes);
      flipped[at]! ^= 1 << (at % 8);
      if ((await judge(flipped)).valid) missed.push(at);
    }
    assert.equal(missed, [], `of ${bytes.length} bytes`);
  });

  test(`${format}: cut, lengthened, reordered, or joined from two`, async () => {
    const bytes = await fileOf(format);
    const text = bytes.toString('latin1');
    for (const length of [0, 1, 200, bytes.length / 2, bytes.length - 2, bytes.length - 1])
      assert.is.not(await codeOf(bytes.subarray(0, length)), 'VALID', `${length}`);
    assert.is(await codeOf(Buffer.from(`${text}\n`)), 'TRAIL_FORMAT');
    assert.is(await codeOf(Buffer.from(`${text}${text}`)), 'TRAIL_DIFFERS');
    const lines = text.split('\n');
    for (let at = 0; at < lines.length - 1; at++) {
      const without = lines.filter((_, i) => i !== at).join('\n');
      assert.is.not(await codeOf(Buffer.from(without)), 'VALID', `without line ${at}`);
      const swapped = lines
        .with(at, lines[at + 1]!)
        .with(at + 1, lines[at]!)
        .join('\n');
      assert.is.not(await codeOf(Buffer.from(swapped)), 'VALID', `lines ${at} and ${at + 1}`);
    }
    const other = (await fileOf(format, story().slice(0, 3))).toString('latin1').trimEnd().split('\n');
    const joined = [...lines.slice(0, -2), other.at(-1), ''].join('\n');
    assert.is(await codeOf(Buffer.from(joined)), 'TRAIL_END');
    assert.is(await codeOf(Buffer.alloc(1_000_000, 'x')), 'TRAIL_FORMAT');
  });
}

test('an account that leaves out what it owes is found: its orders are numbered', async () => {
  const [, , , second, ...others] = story();
  const codes = [];
  for (const entries of [[second!], others]) {
    try {
      codes.push(await codeOf(await fileOf('json', entries)));
    } catch (error) {
      codes.push((error as { code: string }).code);
    }
  }
  assert.equal(codes, ['TRAIL_SEQUENCE', 'TRAIL_LOCK_MISSING']);
});

test.run();
