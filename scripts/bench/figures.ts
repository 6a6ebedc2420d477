/** The p-th quantile (0 to 1) of some measurements, by nearest rank. */
export function quantile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN;
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** One line of the table: what was measured, and the target it is held against. */
export interface Figure {
  readonly what: string;
  readonly value: string;
  readonly target: string;
  readonly met: boolean;
}

export function figure(what: string, value: number, target: number, unit: string): Figure {
  const places = unit === 's' ? 2 : value >= 100 ? 0 : 1;
  const shown = unit === 'ratio' ? value.toFixed(3) : `${value.toFixed(places)} ${unit}`;
  const limit = unit === 'ratio' ? `<= ${target}` : `<= ${target} ${unit}`;
  return { what, value: shown, target: limit, met: value <= target };
}

/** A ratio that is to be large. */
export function atLeast(what: string, value: number, target: number): Figure {
  return { what, value: value.toFixed(2), target: `>= ${target}`, met: value >= target };
}

export function table(figures: readonly Figure[]): string {
  const rows = figures.map(
    ({ what, value, target, met }) => `| ${what} | ${value} | ${target} | ${met ? 'yes' : '**no**'} |`,
  );
  return ['| what | measured | target | met |', '|---|---|---|---|', ...rows].join('\n');
}
