import type { Io } from './io.ts';

/**
 * Text of other people without what a terminal would obey: control characters (escape sequences begin with one) and the marks
 * that turn the direction of text.
 */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, mark =>
    mark === '\n' || mark === '\t' ? mark : '',
  );
}

/** One line of other people's text. */
export function plainLine(text: string): string {
  return plain(text).replace(/\s+/g, ' ').trim();
}

/** Columns as wide as their longest cell; every cell is made plain. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows.map(row => row.map(plainLine))];
  const widths = head.map((_, i) => Math.max(...all.map(row => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd();
  return `${all.map(line).join('\n')}\n`;
}

/** `name  value` lines. */
export function facts(pairs: readonly (readonly [string, string | number | null])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${plainLine(String(value ?? '-'))}\n`).join('');
}

/** JSON for a terminal too: the marks that JSON.stringify leaves raw, and `plain` would drop, are escaped. */
export function json(value: unknown): string {
  const text = (_: string, item: unknown) => (typeof item === 'bigint' ? item.toString() : item);
  const escaped = JSON.stringify(value, text, 2).replace(
    /[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g,
    mark => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `${escaped}\n`;
}

const COLOURS = { green: 32, red: 31, yellow: 33, dim: 2 } as const;

/** Coloured only on a terminal, and never with NO_COLOR (no-color.org). */
export function colour(
  io: Io,
  name: keyof typeof COLOURS,
  text: string,
  onTerminal = io.outIsTerminal,
): string {
  const wanted = onTerminal && !io.env.NO_COLOR;
  return wanted ? `\u001b[${COLOURS[name]}m${text}\u001b[0m` : text;
}

/** `12.3 s`, `4 min`, `2 h`, `3 d`. */
export function duration(ms: number): string {
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return ms < 86_400_000 ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / 86_400_000)} d`;
}

/** `512 B`, `3.4 kB`, `120 MB`, in powers of ten as docker says them. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const step = bytes < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** step;
  return `${step === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[step]}`;
}

/** What a task does now, as far as that is known. */
export function phaseOf(task: { waiting: string | null; phase: string; progress: number | null }): string {
  if (task.waiting !== null) return task.waiting;
  return task.progress === null ? task.phase : `${task.phase} ${Math.floor(task.progress)} %`;
}

/** The end of a peer id: the part that differs. */
export function shortPeer(peer: string | null): string {
  return peer === null ? '-' : `…${peer.slice(-8)}`;
}

interface Report {
  readonly valid: boolean;
  readonly error: { readonly message: string } | null;
}

/** What an offline check found: the verdict, and the facts that were checked. */
export async function printReport(
  io: Io,
  report: Report,
  checked: Readonly<Record<string, string | number | null>> | null,
): Promise<void> {
  const verdict = report.valid
    ? colour(io, 'green', 'valid')
    : `${colour(io, 'red', 'INVALID')}: ${plainLine(report.error?.message ?? '')}`;
  await io.out(`${verdict}\n`);
  if (checked) await io.out(facts(Object.entries(checked)));
}
