import type { TrailEntry, TrailLine } from '../ledger/index.ts';
import type { GenesisInfo, TrailEnd } from '../wire/index.ts';
import { formatAmount } from './money.ts';
import { iso } from './task-views.ts';

export const TRAIL_FORMATS = ['json', 'csv'] as const;
export type TrailFormat = (typeof TRAIL_FORMATS)[number];

export interface TrailOpening {
  readonly account: string;
  readonly info: GenesisInfo;
  readonly lines: readonly TrailLine[];
}

/** What one line of a file holds that the rest of it follows from. */
export type TrailSource =
  | { readonly type: 'opening'; readonly account: string; readonly genesis: Uint8Array }
  | { readonly type: 'entry'; readonly certificate: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'end'; readonly bytes: Uint8Array };

/**
 * A trail as text, line by line. Every character follows from the genesis, the account's name, the certificates with their
 * statements, and the signed end: writing what was read must give the same bytes.
 */
export interface TrailText {
  readonly mediaType: string;
  opening(opening: TrailOpening): string[];
  entry(entry: TrailEntry, isFirst: boolean): string[];
  end(end: TrailEnd, bytes: Uint8Array): string[];
  /** Undefined for a line that is none of these. */
  read(line: string): TrailSource | undefined;
}

const FORMAT = 'duxnode-trail/1';

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

function jsonLine({ index, kind, change, balance, counterpart, taskId, escrowId }: TrailLine) {
  return {
    index,
    kind,
    change: formatAmount(change),
    balance: formatAmount(balance),
    counterpart,
    task_id: taskId,
    escrow_id: escrowId,
  };
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** One JSON document, with a line for the opening, for each entry, and for the end. */
const jsonText: TrailText = {
  mediaType: 'application/json',
  opening({ account, info, lines }) {
    const head = {
      format: FORMAT,
      network: info.genesis.name,
      network_id: info.networkId,
      account,
      genesis: base64(info.bytes),
      lines: lines.map(jsonLine),
    };
    return [`${JSON.stringify(head).slice(0, -1)},"entries":[`];
  },
  entry({ slot, decided, lines }, isFirst) {
    const { certificate, value } = decided;
    const entry = {
      slot,
      lines: lines.map(jsonLine),
      certificate: base64(certificate),
      statement: base64(value),
    };
    return [`${isFirst ? '' : ','}${JSON.stringify(entry)}`];
  },
  end({ entries, lines, seq, confirmed, locked, incoming, at }, bytes) {
    const end = {
      entries,
      lines,
      orders: seq,
      balance: formatAmount(confirmed),
      locked: formatAmount(locked),
      incoming: formatAmount(incoming),
      at: iso(at),
      signature: base64(bytes),
    };
    return [`],"end":${JSON.stringify(end)}}`];
  },
  read(line) {
    if (line.startsWith('],"end":')) {
      const { signature } = parsed(line.slice(8, -1)) ?? {};
      return typeof signature === 'string' ? { type: 'end', bytes: fromBase64(signature) } : undefined;
    }
    if (line.endsWith(',"entries":[')) {
      const { account, genesis } = parsed(`${line}]}`) ?? {};
      if (typeof account !== 'string' || typeof genesis !== 'string') return undefined;
      return { type: 'opening', account, genesis: fromBase64(genesis) };
    }
    const { certificate, statement } = parsed(line.replace(/^,/, '')) ?? {};
    if (typeof certificate !== 'string' || typeof statement !== 'string') return undefined;
    return { type: 'entry', certificate: fromBase64(certificate), value: fromBase64(statement) };
  },
};

const COLUMNS = [
  'index',
  'kind',
  'change',
  'balance',
  'counterpart',
  'task_id',
  'escrow_id',
  'slot',
  'certificate',
  'statement',
];
const HEADER = COLUMNS.join(',');

/** Nothing in it needs quotes: numbers, names of letters and digits, base 64. */
function row(...cells: (string | number | null)[]): string {
  return cells.map(cell => cell ?? '').join(',');
}

function csvLine(line: TrailLine, slot: string, certificate = '', statement = ''): string {
  const { index, kind, change, balance, counterpart, taskId, escrowId } = line;
  const amounts = [formatAmount(change), formatAmount(balance)] as const;
  return row(index, kind, ...amounts, counterpart, taskId, escrowId, slot, certificate, statement);
}

/**
 * One row a line of the history. A row of kind `trail` before them names account and network; one of kind `proof` holds a
 * certificate that changes nothing by itself; the last one, `end`, the owner's signature.
 */
const csvText: TrailText = {
  mediaType: 'text/csv',
  opening({ account, info, lines }) {
    const head = row('', 'trail', '', '', account, '', '', info.networkId, '', base64(info.bytes));
    return [HEADER, head, ...lines.map(line => csvLine(line, 'genesis'))];
  },
  entry({ slot, decided, lines }) {
    const proof = [base64(decided.certificate), base64(decided.value)] as const;
    const [first, ...others] = lines;
    if (!first) return [row('', 'proof', '', '', '', '', '', slot, ...proof)];
    return [csvLine(first, slot, ...proof), ...others.map(line => csvLine(line, slot))];
  },
  end({ account, confirmed, at }, bytes) {
    return [row('', 'end', '', formatAmount(confirmed), account, '', '', iso(at), base64(bytes), '')];
  },
  read(line) {
    const cells = line.split(',');
    const [, kind, , , account = '', , , , certificate = '', statement = ''] = cells;
    if (cells.length !== COLUMNS.length) return undefined;
    if (kind === 'trail') return { type: 'opening', account, genesis: fromBase64(statement) };
    if (kind === 'end') return { type: 'end', bytes: fromBase64(certificate) };
    if (certificate === '' || statement === '') return undefined;
    return { type: 'entry', certificate: fromBase64(certificate), value: fromBase64(statement) };
  },
};

export const TRAIL_TEXTS: Readonly<Record<TrailFormat, TrailText>> = { json: jsonText, csv: csvText };

/** Which of the formats a file with this first line is written in. */
export function trailTextOf(firstLine: string): TrailText | undefined {
  if (firstLine.startsWith('{')) return jsonText;
  return firstLine === HEADER ? csvText : undefined;
}
