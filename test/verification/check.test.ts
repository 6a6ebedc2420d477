import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { attest, type Delivered, type Expected, verifyResult } from '../../src/verification/index.ts';
import { attestationKind, open, seal, sha256, toHex } from '../../src/wire/index.ts';
import {
  bytesOf,
  codeFrom,
  net,
  ref,
  sandboxResult,
  signerOf,
  specHash,
  stranger,
  T0,
  worker,
} from './deal.ts';

const test = suite('verification: delivered results');

const facts = {
  net,
  ref,
  escrowId: null,
  specHash,
  runtime: 'docker',
  imageDigest: 'sha256:0',
  result: sandboxResult,
} as const;
const attestation = attest(worker, facts);

const delivered: Delivered = {
  attestation: attestation.bytes,
  stdout: sandboxResult.stdout,
  stderr: sandboxResult.stderr,
  outputs: sandboxResult.outputs,
  receivedAt: T0 + 2000,
};
const expected: Expected = {
  net,
  ref,
  worker: worker.peer,
  specHash,
  escrowId: null,
  deadline: T0 + 2000,
  mode: 'check',
  resultSchema: '{"type":"object","required":["answer"]}',
  seen: () => false,
};

const codeWith = (change: Partial<Delivered>, wish: Partial<Expected> = {}) =>
  codeFrom(() => verifyResult({ ...delivered, ...change }, { ...expected, ...wish }));

test('a result as awarded passes, and says which checks it passed', () => {
  const result = verifyResult(delivered, expected);
  assert.equal(
    result.checks.join(),
    'signature,signer,network,task,spec,escrow,hashes,sizes,times,deadline,replay,schema',
  );
  assert.is(result.digestHex, toHex(attestation.digest));
  assert.is(result.attestation.body.worker, worker.peer);
  assert.is(result.attestation.body.usage.wallMs, 41);
});

test('what is not signed by the awarded worker alone is refused', () => {
  assert.is(codeWith({ attestation: attest(stranger, facts).bytes }), 'ATTESTATION_SIGNER');
  const { body } = attestation;
  assert.is(codeWith({ attestation: seal(attestationKind, body, stranger).bytes }), 'ATTESTATION_SIGNER');
  const both = seal(attestationKind, body, worker, stranger);
  assert.is(codeWith({ attestation: both.bytes }), 'ATTESTATION_SIGNER');
  const named = seal(attestationKind, { ...body, worker: stranger.peer }, worker);
  assert.is(codeWith({ attestation: named.bytes }), 'ATTESTATION_SIGNER');
  assert.is(codeWith({ attestation: seal(attestationKind, body).bytes }), 'WIRE_SIGNATURE');
  assert.is(codeWith({ attestation: bytesOf('nothing') }), 'WIRE_MALFORMED');
});

test('what is of another network, task, attempt, spec or escrow is refused', () => {
  assert.is(codeWith({}, { net: sha256(bytesOf('x')) }), 'ATTESTATION_NETWORK');
  assert.is(codeWith({}, { ref: { ...ref, attempt: 2 } }), 'ATTESTATION_TASK');
  assert.is(codeWith({}, { ref: { ...ref, replica: 1 } }), 'ATTESTATION_TASK');
  assert.is(codeWith({}, { specHash: sha256(bytesOf('x')) }), 'ATTESTATION_SPEC');
  assert.is(codeWith({}, { escrowId: 'a'.repeat(64) }), 'ATTESTATION_ESCROW');
});

test('what was delivered must be what was attested', () => {
  assert.is(codeWith({ stdout: bytesOf('{"answer":43}\n') }), 'RESULT_HASH');
  assert.is(codeWith({ stderr: bytesOf('') }), 'RESULT_HASH');
  assert.is(codeWith({ outputs: [] }), 'RESULT_HASH');
  const [output] = sandboxResult.outputs;
  assert.is(codeWith({ outputs: [{ ...output, path: 'a.txt' }] }), 'RESULT_HASH');
  assert.is(codeWith({ outputs: [{ ...output, size: 2 }] }), 'RESULT_HASH');
});

test('what was counted must be what was delivered', () => {
  const { body } = attestation;
  for (const name of ['stdoutBytes', 'stderrBytes', 'outputBytes'] as const) {
    const lie = seal(attestationKind, { ...body, usage: { ...body.usage, [name]: 99 } }, worker);
    assert.is(codeWith({ attestation: lie.bytes }), 'RESULT_SIZE', name);
  }
});

test('the last moment counts, the one after it does not; each attestation counts once', () => {
  assert.is(codeWith({ receivedAt: expected.deadline }), undefined);
  assert.is(codeWith({ receivedAt: expected.deadline + 1 }), 'RESULT_LATE');
  const asked: string[] = [];
  const seen = (digest: string) => asked.push(digest) > 0;
  assert.is(codeWith({}, { seen }), 'RESULT_REPLAYED');
  assert.equal(asked, [toHex(attestation.digest)]);
  const backwards = seal(attestationKind, { ...attestation.body, endedAt: T0 }, worker);
  assert.is(codeWith({ attestation: backwards.bytes }), 'ATTESTATION_TIMES');
});

test('mode none leaves out the format alone', () => {
  const resultSchema = '{"type":"array"}';
  assert.is(codeWith({}, { resultSchema }), 'RESULT_SCHEMA');
  assert.is(codeWith({}, { resultSchema, mode: 'none' }), undefined);
  assert.is(codeWith({ stdout: bytesOf('x') }, { mode: 'none' }), 'RESULT_HASH');
  const { checks } = verifyResult(delivered, { ...expected, mode: 'none' });
  assert.not.ok(checks.includes('schema'));
});

test('the format is asked of successes alone', () => {
  const usage = { ...sandboxResult.usage, stdoutBytes: 4 };
  const text = { ...sandboxResult, stdout: bytesOf('text'), usage };
  const deliver = (result: Parameters<typeof attest>[1]['result']) =>
    codeWith({ attestation: attest(worker, { ...facts, result }).bytes, stdout: text.stdout });
  assert.is(deliver(text), 'RESULT_NOT_JSON');
  assert.is(deliver({ ...text, exitCode: 1 }), undefined);
  assert.is(deliver({ ...text, outcome: 'timeout' }), undefined);
});

test('an attestation can be opened by anyone who knows its kind', () => {
  const { body, signers } = open(attestationKind, attestation.bytes);
  assert.equal(signers, [worker.peer]);
  assert.is(body.outcome, 'exited');
  assert.throws(
    () => attest(signerOf('x'), { ...facts, result: { ...sandboxResult, exitCode: 256 } }),
    /exitCode/,
  );
});

test.run();
