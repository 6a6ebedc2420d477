import pino from 'pino';
import pretty from 'pino-pretty';
import type { Logger } from '../util/index.ts';
import type { Config } from './options.ts';

/** Never in a log, whatever object it is part of. */
const SECRETS = ['token', 'invite', 'privateKey', 'seed', 'authorization', 'env', 'code'].map(
  name => `*.${name}`,
);

/** Lines on stderr: stdout is for results. Pretty on a terminal, JSON otherwise. */
export function createLogger({ log_level: level, log_format: format }: Config['telemetry']): Logger {
  const wantsPretty = format === 'pretty' || (format === 'auto' && process.stderr.isTTY === true);
  const options = { level, redact: SECRETS, base: null, serializers: { bigint: String } };
  if (!wantsPretty)
    return pino({ ...options, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2));
  const stream = pretty({
    destination: 2,
    colorize: process.env.NO_COLOR === undefined,
    translateTime: 'HH:MM:ss.l',
  });
  return pino(options, stream);
}
