import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as wire from '../../src/wire/index.ts';
import { messageSamples } from './message-samples.ts';
import { envelopeOf, kindSamples } from './samples.ts';

/** Bytes as they are today. A change of any is a new version of its kind; UPDATE_VECTORS=1 writes those of new ones. */
const DIR = join(import.meta.dirname, '../fixtures/wire');

const test = suite('wire: golden vectors');

const vectors = new Map<string, Uint8Array>([
  ...kindSamples.map(sample => [sample.kind.name, envelopeOf(sample)] as const),
  ...messageSamples.map(
    ({ message, variant, value }) => [`${message.name}.${variant}`, message.encode(value)] as const,
  ),
]);

/** 64 bytes a line, so that a change can be seen. */
function hexLines(bytes: Uint8Array): string {
  return `${wire.toHex(bytes).replace(/(.{128})(?=.)/g, '$1\n')}\n`;
}

/** The names of everything with a size limit that wire defines. */
function definedNames(): string[] {
  return Object.values<unknown>(wire)
    .flatMap(value => (isLimited(value) ? [value.name] : []))
    .sort();
}

function isLimited(value: unknown): value is { readonly name: string } {
  return typeof value === 'object' && value !== null && 'maxBytes' in value && 'name' in value;
}

test('every kind and every message has a vector', () => {
  const sampled = [...kindSamples.map(({ kind }) => kind.name), ...messageSamples.map(s => s.message.name)];
  assert.equal([...new Set(sampled)].sort(), definedNames());
  assert.is(vectors.size, kindSamples.length + messageSamples.length);
});

test('no byte of any kind or message has changed', async () => {
  if (process.env.UPDATE_VECTORS === '1') {
    await mkdir(DIR, { recursive: true });
    for (const [name, bytes] of vectors) await writeFile(join(DIR, `${name}.hex`), hexLines(bytes));
  }
  for (const [name, bytes] of vectors)
    assert.is(await readFile(join(DIR, `${name}.hex`), 'utf8'), hexLines(bytes), name);
  assert.equal((await readdir(DIR)).sort(), [...vectors.keys()].map(name => `${name}.hex`).sort());
});

test('the stored bytes still open, and say what was put in', async () => {
  for (const { kind, body, signers } of kindSamples) {
    const hex = await readFile(join(DIR, `${kind.name}.hex`), 'utf8');
    const opened = wire.open(kind, new Uint8Array(Buffer.from(hex.replaceAll('\n', ''), 'hex')));
    assert.equal(opened.body, body, kind.name);
    assert.equal(
      opened.signers,
      signers.map(({ peer }) => peer),
    );
  }
  for (const { message, variant, value } of messageSamples)
    assert.equal(message.decode(message.encode(value)), value, `${message.name}.${variant}`);
});

test.run();
