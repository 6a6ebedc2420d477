import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { compileResultSchema, failureShare, ResultSchemaError } from '../../src/verification/index.ts';
import { bytesOf, codeFrom } from './deal.ts';

const test = suite('verification: result schema and failure share');

const codeOfCheck = (schema: object, stdout: string) =>
  codeFrom(() => compileResultSchema(JSON.stringify(schema)).check(bytesOf(stdout)));

test('a wrong schema is refused when it is given, with the place', () => {
  const placeOf = (text: string) => {
    try {
      compileResultSchema(text);
    } catch (error) {
      if (error instanceof ResultSchemaError && 'place' in error.type)
        return `${error.code} ${error.type.place}`;
      throw error;
    }
    return 'taken';
  };
  assert.is(placeOf('{"properties":{"a":{"type":"strin"}}}'), 'SCHEMA_INVALID /properties/a/type');
  assert.is(
    placeOf('{"$schema":"https://json-schema.org/draft/2020-12/schema","type":7}'),
    'SCHEMA_INVALID /type',
  );
  assert.is(placeOf('{"type":'), 'SCHEMA_INVALID ');
  assert.is(placeOf('[]'), 'SCHEMA_INVALID ');
  assert.is(placeOf('{"pattern":"("}'), 'SCHEMA_INVALID ');
  assert.is(placeOf('{"$ref":"http://example.com/schema.json"}'), 'SCHEMA_INVALID ');
  assert.is(placeOf('{"$async":true}'), 'SCHEMA_INVALID /$async');
  assert.is(placeOf(`${'{"not":'.repeat(7000)}{}${'}'.repeat(7000)}`), 'SCHEMA_INVALID ');
  assert.is(placeOf('{"type":"object"}'), 'taken');
  assert.is(
    codeFrom(() => compileResultSchema(`{"title":"${'x'.repeat(65_536)}"}`)),
    'SCHEMA_TOO_LARGE',
  );
});

test('drafts 7 and 2020-12, formats and local references', () => {
  const date = { type: 'object', properties: { at: { type: 'string', format: 'date-time' } } };
  assert.is(codeOfCheck(date, '{"at":"2026-01-01T00:00:00Z"}'), undefined);
  assert.is(codeOfCheck(date, '{"at":"yesterday"}'), 'RESULT_SCHEMA');
  const tuple = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $defs: { word: { type: 'string' } },
    prefixItems: [{ $ref: '#/$defs/word' }],
  };
  assert.is(codeOfCheck(tuple, '["a"]'), undefined);
  assert.is(codeOfCheck(tuple, '[1]'), 'RESULT_SCHEMA');
});

test('stdout must be one JSON value in UTF-8', () => {
  for (const text of ['', 'text', '{"a":1} {"a":2}', '{"a":1', "{'a':1}", 'NaN'])
    assert.is(codeOfCheck({}, text), 'RESULT_NOT_JSON', text);
  const latin1 = () => compileResultSchema('{}').check(Uint8Array.of(0x22, 0xe4, 0x22));
  assert.is(codeFrom(latin1), 'RESULT_NOT_JSON');
  assert.is(codeOfCheck({ const: null }, ' null\n'), undefined);
});

test('an output made to exhaust the check fails it, in bounded time', () => {
  const backtracking = { type: 'string', pattern: '^(a+)+$' };
  assert.is(codeOfCheck(backtracking, JSON.stringify(`${'a'.repeat(50_000)}b`)), 'RESULT_SCHEMA');
  const recursive = { type: 'array', items: { $ref: '#' } };
  assert.is(codeOfCheck(recursive, '['.repeat(100_000) + ']'.repeat(100_000)), 'RESULT_SCHEMA');
});

test('a schema cannot change the next one’s checks', () => {
  assert.is(
    codeOfCheck({ $id: 'http://json-schema.org/draft-07/schema#', type: 'string' }, '"a"'),
    undefined,
  );
  assert.is(codeOfCheck({ $id: 'urn:example:a', type: 'string' }, '1'), 'RESULT_SCHEMA');
  assert.is(codeOfCheck({ $id: 'urn:example:a', type: 'number' }, '1'), undefined);
  assert.is(
    codeFrom(() => compileResultSchema('{"type":"strin","x":1}')),
    'SCHEMA_INVALID',
  );
});

test('a failure is paid by the time it used, between the floor and the ask', () => {
  const share = (wallMs: number) =>
    failureShare({ ask: 1_000_001n, wallMs, timeoutMs: 1000, floorPermille: 100 });
  assert.is(share(0), 100_000n);
  assert.is(share(50), 100_000n);
  assert.is(share(500), 500_000n);
  assert.is(share(1000), 1_000_001n);
  assert.is(share(99_999), 1_000_001n);
  assert.is(failureShare({ ask: 9n, wallMs: 1, timeoutMs: 1000, floorPermille: 100 }), 0n);
  fc.assert(
    fc.property(
      fc.bigInt(0n, 2n ** 63n - 1n),
      fc.nat(),
      fc.integer({ min: 1 }),
      fc.nat(1000),
      (ask, wallMs, timeoutMs, floorPermille) => {
        const pay = failureShare({ ask, wallMs, timeoutMs, floorPermille });
        assert.ok(pay >= (ask * BigInt(floorPermille)) / 1000n && pay <= ask);
        assert.ok(pay <= failureShare({ ask, wallMs: wallMs + 1, timeoutMs, floorPermille }));
      },
    ),
  );
});

test.run();
