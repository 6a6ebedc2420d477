import { type TrailPart, TrailReplay } from '../ledger/index.ts';
import { CodedError, codeOf, messageOf } from '../util/index.ts';
import { type GenesisInfo, open, readGenesis, type TrailEnd, trailEndKind } from '../wire/index.ts';
import { formatAmount } from './money.ts';
import { iso } from './task-views.ts';
import {
  TRAIL_TEXTS,
  type TrailFormat,
  type TrailSource,
  type TrailText,
  trailTextOf,
} from './trail-file.ts';

export type TrailFileErrorType =
  | { code: 'TRAIL_FORMAT'; line: number }
  | { code: 'TRAIL_DIFFERS'; line: number }
  | { code: 'TRAIL_CUT_OFF'; line: number };

/** What an exported trail proves; amounts in decimal FLOP. */
export interface TrailReport {
  readonly valid: boolean;
  /** The first line that fails. */
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly trail: {
    readonly account: string;
    readonly network: string;
    readonly network_id: string;
    /** The last ones that the file shows. */
    readonly notaries: number;
    /** How many of them sign each certificate at least. */
    readonly quorum: number;
    readonly entries: number;
    readonly lines: number;
    readonly orders: number;
    readonly balance: string;
    readonly locked: string;
    readonly incoming: string;
    /** When the owner signed it, by its own clock. */
    readonly at: string;
  } | null;
}

/** Of the largest entry: a statement of 64 KiB with its 64 lines takes 130 KiB. */
const MAX_LINE = 256 * 1024;

/** The trail as the bytes of a file. */
export async function* writeTrail(
  parts: AsyncIterable<TrailPart>,
  format: TrailFormat,
): AsyncGenerator<Uint8Array> {
  const text = TRAIL_TEXTS[format];
  let entries = 0;
  for await (const part of parts) {
    const lines =
      part.type === 'opening'
        ? text.opening({ ...part, info: readGenesis(part.genesis) })
        : part.type === 'entry'
          ? text.entry(part, entries++ === 0)
          : text.end(open(trailEndKind, part.bytes).body, part.bytes);
    yield Buffer.from(`${lines.join('\n')}\n`, 'latin1');
  }
}

/** One character a byte, so that no two files read the same. The rest after the last line end is the last line. */
async function* linesOf(file: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of file) {
    const lines = (rest + Buffer.from(piece).toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE) break;
    yield* lines;
  }
  yield rest;
}

/** Reads a file line by line: what a line must hold is made from what it claims, and compared. */
class TrailReader {
  #text: TrailText | undefined;
  #info: GenesisInfo | undefined;
  #replay: TrailReplay | undefined;
  #end: TrailEnd | undefined;
  #account = '';
  #isWhole = false;
  /** Lines that must come next. */
  #due: string[] = [];
  #line = 0;

  take(line: string): void {
    this.#line++;
    if (this.#due.length === 0) this.#due = this.#lines(line);
    if (this.#due.shift() !== line)
      throw new CodedError<TrailFileErrorType>(
        { code: 'TRAIL_DIFFERS', line: this.#line },
        `line ${this.#line} does not say what its certificates say`,
      );
  }

  #lines(line: string): string[] {
    // the file ends with a line end, and nothing comes after it
    if (this.#end) {
      if (this.#isWhole) throw this.#unreadable();
      this.#isWhole = true;
      return [''];
    }
    if (!this.#text) {
      this.#text = trailTextOf(line);
      // the columns' names prove nothing, and come before what does
      if (this.#text === TRAIL_TEXTS.csv) return [line];
    }
    const source = this.#text?.read(line);
    if (!this.#text || !source) throw this.#unreadable();
    try {
      return this.#made(this.#text, source);
    } catch (cause) {
      throw new CodedError(
        { code: codeOf(cause), line: this.#line },
        `line ${this.#line}: ${messageOf(cause)}`,
        { cause },
      );
    }
  }

  #made(text: TrailText, source: TrailSource): string[] {
    if (source.type === 'opening') {
      if (this.#replay) throw this.#unreadable();
      const info = readGenesis(source.genesis);
      const replay = new TrailReplay(info, source.account);
      this.#info = info;
      this.#replay = replay;
      this.#account = source.account;
      const lines = text.opening({ account: source.account, info, lines: replay.opening });
      return text === TRAIL_TEXTS.csv ? lines.slice(1) : lines;
    }
    if (!this.#replay) throw this.#unreadable();
    if (source.type === 'entry') {
      const isFirst = this.#replay.sums.entries === 0;
      const { certificate, value } = source;
      return text.entry(this.#replay.take({ certificate, value }), isFirst);
    }
    this.#end = this.#replay.end(source.bytes).body;
    return text.end(this.#end, source.bytes);
  }

  #unreadable(): CodedError<TrailFileErrorType> {
    return new CodedError<TrailFileErrorType>(
      { code: 'TRAIL_FORMAT', line: this.#line },
      `line ${this.#line} is none of a trail that "duxnode wallet export" wrote`,
    );
  }

  report(): NonNullable<TrailReport['trail']> {
    const info = this.#info;
    const end = this.#end;
    const committee = this.#replay?.committee;
    if (!info || !end || !committee || !this.#isWhole)
      throw new CodedError<TrailFileErrorType>(
        { code: 'TRAIL_CUT_OFF', line: this.#line },
        'the file breaks off before the trail’s end',
      );
    return {
      account: this.#account,
      network: info.genesis.name,
      network_id: info.networkId,
      notaries: committee.keys.length,
      quorum: committee.quorum,
      entries: end.entries,
      lines: end.lines,
      orders: end.seq,
      balance: formatAmount(end.confirmed),
      locked: formatAmount(end.locked),
      incoming: formatAmount(end.incoming),
      at: iso(end.at),
    };
  }
}

/** Judges an exported trail by its bytes alone: the first line that fails, or what the file proves. */
export async function reportTrail(file: AsyncIterable<Uint8Array>): Promise<TrailReport> {
  const reader = new TrailReader();
  try {
    for await (const line of linesOf(file)) reader.take(line);
    return { valid: true, error: null, trail: reader.report() };
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return { valid: false, error: { code: error.code, message: error.message }, trail: null };
  }
}
