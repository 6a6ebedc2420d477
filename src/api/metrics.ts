import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Metrics } from '../util/index.ts';

/** The metrics port, kept for Prometheus. */
export interface PrometheusMetrics extends Metrics {
  /** Prometheus text format 0.0.4. */
  text(): Promise<string>;
  readonly contentType: string;
}

const PREFIX = 'duxnode_';
/** From a request on a warm stream (1 ms) to a long task (17 min). */
const BUCKETS = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 100, 300, 1000];
/** Names are written in code, so more than this many is a mistake there. */
const MAX_METRICS = 500;

type Kind = typeof Counter<string> | typeof Gauge<string> | typeof Histogram<string>;

/** A metric's labels are those of its first use. Names are Prometheus names without the prefix. */
export function createMetrics(): PrometheusMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: PREFIX });
  const known = new Map<string, Counter<string> | Gauge<string> | Histogram<string>>();
  const get = <T extends Counter<string> | Gauge<string> | Histogram<string>>(
    Type: Kind,
    name: string,
    labels: Record<string, string>,
    make: (config: { name: string; help: string; labelNames: string[]; registers: Registry[] }) => T,
  ): T | undefined => {
    const found = known.get(name);
    if (found !== undefined) return found instanceof Type ? (found as T) : undefined;
    if (known.size >= MAX_METRICS) return undefined;
    const metric = make({
      name: `${PREFIX}${name}`,
      help: name.replaceAll('_', ' '),
      labelNames: Object.keys(labels),
      registers: [registry],
    });
    known.set(name, metric);
    return metric;
  };
  return {
    contentType: registry.contentType,
    count: (name, labels = {}, by = 1) =>
      get(Counter, name, labels, config => new Counter(config))?.inc(labels, by),
    gauge: (name, value, labels = {}) =>
      get(Gauge, name, labels, config => new Gauge(config))?.set(labels, value),
    observe: (name, seconds, labels = {}) =>
      get(Histogram, name, labels, config => new Histogram({ ...config, buckets: BUCKETS }))?.observe(
        labels,
        seconds,
      ),
    text: () => registry.metrics(),
  };
}
