/** The metrics port. Names are Prometheus names without the `duxnode_` prefix; label values are a small closed set. */
export interface Metrics {
  /** Adds `by` (default 1) to a counter. */
  count(name: string, labels?: Record<string, string>, by?: number): void;
  /** Sets a gauge. */
  gauge(name: string, value: number, labels?: Record<string, string>): void;
  /** Records a duration in seconds. */
  observe(name: string, seconds: number, labels?: Record<string, string>): void;
}

export const noMetrics: Metrics = { count() {}, gauge() {}, observe() {} };
