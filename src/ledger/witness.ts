import { LRUCache } from 'lru-cache';
import * as z from 'zod';
import type { Database, Repository } from '../db/index.ts';
import type { Network } from '../network/index.ts';
import { type Clock, codeOf, type Logger, type Metrics, messageOf, withDeadline } from '../util/index.ts';
import {
  bytesSchema,
  defineMessage,
  ledgerRequestMessage,
  MAX_VALUE_BYTES,
  peekKind,
  peerSchema,
  sameBytes,
  slotSchema,
  timeSchema,
} from '../wire/index.ts';
import {
  type Contradiction,
  contradictionOf,
  type NotaryWord,
  RULES,
  readWord,
  type Word,
} from './contradiction.ts';
import type { Proof, Witness } from './interface.ts';
import { LEDGER_PROTOCOL } from './notary-server.ts';

/** Proofs against one signer: the first says it, some more show that it goes on. */
const MAX_OF_ONE = 8;
/** Proofs against accounts: making one costs money, but not much. Notaries are few. */
const MAX_OF_ACCOUNTS = 64;
/** Words of undecided and lately decided slots, to compare new ones with: seconds of full load. */
const MAX_WORD_BYTES = 8 * 1024 * 1024;
const MAX_OF_SLOT = 32;
/** Telling a notary what was seen, and how many at a time are told something. */
const TELL_MS = 10_000;
const MAX_PENDING = 64;
/** Of an entry of the map, beside the envelope. */
const WORD_OVERHEAD = 512;

const proofRecord = defineMessage(
  'ledger-proof',
  2 * MAX_VALUE_BYTES + 1024,
  z.strictObject({
    signer: peerSchema,
    slot: slotSchema,
    rule: z.enum(RULES),
    at: timeSchema,
    first: bytesSchema(MAX_VALUE_BYTES),
    second: bytesSchema(MAX_VALUE_BYTES),
  }),
);

export interface WitnessComponents {
  readonly db: Pick<Database, 'write' | 'repository'>;
  readonly network: Pick<Network, 'self' | 'call' | 'isConnected'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface WitnessInit {
  /** Those of now. */
  readonly notaries: () => readonly string[];
}

export function createWitness(components: WitnessComponents, init: WitnessInit): Witness {
  return new LedgerWitness(components, init);
}

class LedgerWitness implements Witness {
  readonly #parts: WitnessComponents;
  readonly #notaries: () => readonly string[];
  readonly #store: Repository<Proof>;
  readonly #words = new LRUCache<string, readonly NotaryWord[]>({
    maxSize: MAX_WORD_BYTES,
    sizeCalculation: words => words.reduce((sum, { signed }) => sum + signed.bytes.length + WORD_OVERHEAD, 0),
  });
  /** By signer and slot. */
  readonly #proofs = new Map<string, Proof>();
  readonly #pending = new Set<Promise<void>>();
  #controller = new AbortController();

  constructor(components: WitnessComponents, { notaries }: WitnessInit) {
    this.#parts = components;
    this.#notaries = notaries;
    this.#store = components.db.repository<Proof>('proofs', proofRecord);
  }

  async start(): Promise<void> {
    this.#controller = new AbortController();
    for await (const [key, proof] of this.#store.iterate({ limit: Number.MAX_SAFE_INTEGER }))
      this.#proofs.set(key, proof);
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    await Promise.all(this.#pending);
  }

  proofs(): readonly Proof[] {
    return [...this.#proofs.values()].sort((a, b) => a.at - b.at);
  }

  saw(word: NotaryWord): void {
    const { body, bytes, signers } = word.signed;
    // Whoever is no notary could fill the memory.
    if (!signers.every(peer => this.#notaries().includes(peer))) return;
    const before = this.#words.get(body.slot) ?? [];
    if (before.some(({ signed }) => sameBytes(signed.bytes, bytes))) return;
    for (const other of before) this.#compare(other, word);
    this.#words.set(body.slot, [...before, word].slice(-MAX_OF_SLOT));
  }

  sawOrders(slot: string, first: Uint8Array, second: Uint8Array): void {
    const account = slot.split('/')[1]!;
    // Sent again and again, they cost nothing. And what a number came to may be that there is no order.
    if (this.#proofs.has(`${account}/${slot}`) || !this.#hasRoom(account, true)) return;
    if (peekKind(first, MAX_VALUE_BYTES) !== 'ledger-order') return;
    this.#compare(readWord(first), readWord(second));
  }

  hear(words: readonly Uint8Array[]): void {
    for (const bytes of words) {
      const word = readWord(bytes);
      if (word.kind !== 'order') this.saw(word);
    }
  }

  tell(words: readonly Uint8Array[]): void {
    const { network } = this.#parts;
    const request = ledgerRequestMessage.encode({ type: 'witness', words: [...words] });
    for (const peer of this.#notaries())
      if (peer !== network.self && network.isConnected(peer) && this.#pending.size < MAX_PENDING)
        this.#track(this.#call(peer, request));
  }

  async #call(peer: string, request: Uint8Array): Promise<void> {
    const { network, clock } = this.#parts;
    const options = { signal: this.#controller.signal, clock };
    await withDeadline(
      TELL_MS,
      'telling a notary',
      signal => network.call(peer, LEDGER_PROTOCOL, request, { signal }),
      options,
    );
  }

  #compare(a: Word, b: Word): void {
    const found = contradictionOf(a, b);
    if (!found) return;
    const kept = found.signers.filter(signer => this.#keep(signer, found, a, b));
    if (kept.length > 0 && found.rule !== 'ordered-twice') this.tell([a.signed.bytes, b.signed.bytes]);
  }

  /** True for news. */
  #keep(signer: string, { rule, slot }: Contradiction, a: Word, b: Word): boolean {
    const { clock, logger, metrics, db } = this.#parts;
    const isAccount = rule === 'ordered-twice';
    const key = `${signer}/${slot}`;
    if (this.#proofs.has(key) || !this.#hasRoom(signer, isAccount)) return false;
    const [first, second] = [a.signed.bytes, b.signed.bytes];
    const proof: Proof = { signer, slot, rule, at: clock.now(), first, second };
    this.#proofs.set(key, proof);
    metrics.count('ledger_contradictions_total', { by: isAccount ? 'account' : 'notary' });
    const what = isAccount
      ? 'an account signed two orders with one number'
      : 'a notary contradicted itself: duxnode evidence shows the proof';
    logger.warn({ signer, slot, rule }, what);
    this.#track(db.write([this.#store.putOp(key, proof)], { sync: true }));
    return true;
  }

  #hasRoom(signer: string, isAccount: boolean): boolean {
    const signers = [...this.#proofs.values()]
      .filter(({ rule }) => (rule === 'ordered-twice') === isAccount)
      .map(proof => proof.signer);
    if (signers.filter(other => other === signer).length >= MAX_OF_ONE) return false;
    return isAccount ? signers.length < MAX_OF_ACCOUNTS : this.#notaries().includes(signer);
  }

  #track(work: Promise<void>): void {
    const done = work
      .catch(error => {
        if (this.#controller.signal.aborted) return;
        this.#parts.logger.debug(
          { code: codeOf(error), reason: messageOf(error) },
          'a contradiction was not told, or not kept',
        );
      })
      .finally(() => this.#pending.delete(done));
    this.#pending.add(done);
  }
}
