import * as z from 'zod';
import { checkSize, decodeCanonical, encodeCbor, WireError } from './cbor.ts';
import { sha256 } from './hash.ts';
import { type Signer, verifySignature } from './identity.ts';
import { bytesSchema, peerSchema } from './primitives.ts';

/** A kind of signed statement: its name (the signature domain), its schema and the most bytes its envelope may have. */
export interface Kind<S extends z.ZodType> {
  readonly name: string;
  readonly version: number;
  readonly schema: S;
  readonly maxBytes: number;
  /** How many signatures it carries at least: 0 for what time alone proves. */
  readonly minSignatures: number;
  /** And at most: each costs a check. */
  readonly maxSignatures: number;
}

/** Two parties sign what they agree on, and one more may take part. */
const MAX_PARTIES = 3;
/** More than any quorum that is planned (7 notaries), and a bound on the work of checking. */
export const MAX_SIGNATURES = 16;

export type BodyOf<K> = K extends Kind<infer S> ? z.output<S> : never;

export function defineKind<S extends z.ZodType>(
  name: string,
  maxBytes: number,
  schema: S,
  { version = 1, minSignatures = 1, maxSignatures = MAX_PARTIES } = {},
): Kind<S> {
  return { name, version, schema, maxBytes, minSignatures, maxSignatures };
}

/** An envelope whose signatures were checked over the bytes as received, and whose body passed its schema. */
export interface Opened<B> {
  readonly body: B;
  /** Who signed; each once. */
  readonly signers: readonly string[];
  /** The envelope as it travels. */
  readonly bytes: Uint8Array;
  readonly bodyBytes: Uint8Array;
  /** sha-256 over the signed bytes: what other statements name this one by. Independent of its signatures. */
  readonly digest: Uint8Array;
}

/** Of any kind: each kind's own limit is smaller or equal. */
const MAX_BODY_BYTES = 64 * 1024;

const envelopeSchema = z.strictObject({
  type: z.string().max(100),
  body: bytesSchema(MAX_BODY_BYTES),
  signatures: z.array(z.strictObject({ key: peerSchema, sig: bytesSchema(64) })).max(MAX_SIGNATURES),
});

type Envelope = z.output<typeof envelopeSchema>;

/** Envelopes by their bytes, as long as these are at hand: who opens one has mostly looked at its kind before. */
const known = new WeakMap<Uint8Array, Envelope>();

/** @throws WireError `WIRE_TOO_LARGE`, `WIRE_TOO_COMPLEX`, `WIRE_MALFORMED`, `WIRE_NOT_CANONICAL`, `WIRE_SCHEMA`. */
function readEnvelope(bytes: Uint8Array, maxBytes: number, what: string): Envelope {
  checkSize(bytes, maxBytes, what);
  const found = known.get(bytes);
  if (found) return found;
  const parsed = envelopeSchema.safeParse(decodeCanonical(bytes, maxBytes, what));
  if (!parsed.success) throw schemaError(what, parsed.error);
  known.set(bytes, parsed.data);
  return parsed.data;
}

function typeOf(kind: Kind<z.ZodType>): string {
  return `application/vnd.duxnode.${kind.name}.v${kind.version}+dag-cbor`;
}

/** DSSE v1.0.2 pre-authentication encoding. */
export function preAuthEncoding(type: string, body: Uint8Array): Uint8Array {
  const head = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${body.length} `;
  return Buffer.concat([Buffer.from(head, 'utf8'), body]);
}

function opened<B>(
  type: string,
  bodyBytes: Uint8Array,
  body: B,
  signers: string[],
  bytes: Uint8Array,
): Opened<B> {
  return { body, signers, bytes, bodyBytes, digest: sha256(preAuthEncoding(type, bodyBytes)) };
}

/** Makes the envelope of `body`, signed by each of `signers`. @throws WireError `WIRE_SCHEMA`, `WIRE_TOO_LARGE`. */
export function seal<S extends z.ZodType>(
  kind: Kind<S>,
  body: z.input<S>,
  ...signers: Signer[]
): Opened<z.output<S>> {
  const type = typeOf(kind);
  const parsed = parseBody(kind, body);
  const bodyBytes = encodeCbor(body);
  const signed = preAuthEncoding(type, bodyBytes);
  const signatures = signers.map(signer => ({ key: signer.peer, sig: signer.sign(signed) }));
  const bytes = encodeCbor({ type, body: bodyBytes, signatures });
  checkSize(bytes, kind.maxBytes, kind.name);
  return opened(
    type,
    bodyBytes,
    parsed,
    signers.map(signer => signer.peer),
    bytes,
  );
}

/** An envelope put together again from its body and who signed it how; `open` checks it. */
export function joinEnvelope<S extends z.ZodType>(
  kind: Kind<S>,
  body: z.input<S>,
  signatures: readonly { readonly key: string; readonly sig: Uint8Array }[],
): Uint8Array {
  return encodeCbor({ type: typeOf(kind), body: encodeCbor(body), signatures });
}

/** Who signed an envelope how, unchecked. */
export function signaturesOf(kind: Kind<z.ZodType>, { bytes }: Pick<Opened<unknown>, 'bytes'>) {
  return parseEnvelope(kind, bytes).signatures;
}

/** The same statement with one more signature; as it is where that signer has signed. @throws WireError `WIRE_TOO_LARGE`. */
export function addSignature<B>(kind: Kind<z.ZodType>, envelope: Opened<B>, signer: Signer): Opened<B> {
  if (envelope.signers.includes(signer.peer)) return envelope;
  const { type, body, signatures } = parseEnvelope(kind, envelope.bytes);
  const sig = signer.sign(preAuthEncoding(type, body));
  const bytes = encodeCbor({ type, body, signatures: [...signatures, { key: signer.peer, sig }] });
  checkSize(bytes, kind.maxBytes, kind.name);
  return { ...envelope, bytes, signers: [...envelope.signers, signer.peer] };
}

/**
 * One envelope of the same statement, signed by all who signed `envelopes`: how votes become a certificate. In the order of the
 * signers' names, so that the same quorum gives the same bytes. @throws WireError `WIRE_SCHEMA` where the statements differ.
 */
export function mergeSignatures<B>(kind: Kind<z.ZodType>, envelopes: readonly Opened<B>[]): Opened<B> {
  const first = envelopes[0]!;
  const all = new Map<string, Uint8Array>();
  for (const { bytes, digest } of envelopes) {
    if (Buffer.compare(digest, first.digest) !== 0)
      throw new WireError(
        { code: 'WIRE_SCHEMA', what: kind.name, path: 'body' },
        `signatures of different ${kind.name} statements cannot be put together`,
      );
    for (const { key, sig } of parseEnvelope(kind, bytes).signatures) all.set(key, sig);
  }
  const signatures = [...all].map(([key, sig]) => ({ key, sig })).sort((a, b) => (a.key < b.key ? -1 : 1));
  const { type, body } = parseEnvelope(kind, first.bytes);
  const bytes = encodeCbor({ type, body, signatures });
  checkSize(bytes, kind.maxBytes, kind.name);
  return { ...first, bytes, signers: signatures.map(({ key }) => key) };
}

function parseEnvelope(kind: Kind<z.ZodType>, bytes: Uint8Array): Envelope {
  const envelope = readEnvelope(bytes, kind.maxBytes, kind.name);
  if (envelope.type !== typeOf(kind))
    throw new WireError(
      { code: 'WIRE_SCHEMA', what: kind.name, path: 'type' },
      `expected ${typeOf(kind)}, got ${envelope.type}`,
    );
  return envelope;
}

function parseBody<S extends z.ZodType>(kind: Kind<S>, value: unknown): z.output<S> {
  const parsed = kind.schema.safeParse(value);
  if (!parsed.success) throw schemaError(kind.name, parsed.error);
  return parsed.data;
}

/** Keys and values of the other side get into paths and messages: no longer than this. */
const MAX_TEXT = 200;

export function schemaError(what: string, error: z.ZodError): WireError {
  const issue = error.issues[0];
  const path = (issue?.path.join('.') ?? '').slice(0, MAX_TEXT);
  const message = (issue?.message ?? 'wrong shape').slice(0, MAX_TEXT);
  return new WireError({ code: 'WIRE_SCHEMA', what, path }, `${what}: ${path || 'body'}: ${message}`);
}

/**
 * Size, envelope, every signature, canonical body, schema: in this order.
 * @throws WireError `WIRE_TOO_LARGE`, `WIRE_TOO_COMPLEX`, `WIRE_MALFORMED`, `WIRE_NOT_CANONICAL`, `WIRE_SCHEMA`, `WIRE_SIGNATURE`.
 */
export function open<S extends z.ZodType>(kind: Kind<S>, bytes: Uint8Array): Opened<z.output<S>> {
  const { type, body, signatures } = parseEnvelope(kind, bytes);
  const signers = signatures.map(signature => signature.key);
  if (signers.length > kind.maxSignatures)
    throw new WireError(
      { code: 'WIRE_SIGNATURE', what: kind.name },
      `${kind.name} carries ${signers.length} signatures; at most ${kind.maxSignatures} are taken`,
    );
  if (signers.length < kind.minSignatures || new Set(signers).size !== signers.length)
    throw new WireError(
      { code: 'WIRE_SIGNATURE', what: kind.name },
      `${kind.name} lacks signatures or repeats a signer`,
    );
  const signed = preAuthEncoding(type, body);
  for (const { key, sig } of signatures)
    if (!verifySignature(key, signed, sig))
      throw new WireError(
        { code: 'WIRE_SIGNATURE', what: kind.name },
        `${kind.name} has a wrong signature of ${key}`,
      );
  const value = parseBody(kind, decodeCanonical(body, kind.maxBytes, kind.name));
  return opened(type, body, value, signers, bytes);
}

/** The name of the kind that an envelope claims, without checking anything else; undefined where it is no envelope. */
export function peekKind(bytes: Uint8Array, maxBytes: number): string | undefined {
  try {
    const { type } = readEnvelope(bytes, maxBytes, 'envelope');
    return /^application\/vnd\.duxnode\.([a-z-]+)\.v\d+\+dag-cbor$/.exec(type)?.[1];
  } catch {
    return undefined;
  }
}
