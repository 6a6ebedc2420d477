import type { TaskResultReply } from '../api/client.ts';
import { duration } from './print.ts';

/** Decimal, as disks and lines are sold. */
const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

function bytes(count: number): string {
  const step = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, count)) / 3));
  return `${step === 0 ? count : (count / 1000 ** step).toFixed(1)} ${UNITS[step]}`;
}

/** What a task has used, in one line. */
export function usedLine(used: NonNullable<TaskResultReply['usage']>): string {
  const out = used.output_bytes + used.stdout_bytes + used.stderr_bytes;
  return `time ${duration(used.wall_ms)}  cpu ${duration(used.cpu_ms)}  memory ${bytes(used.peak_memory_bytes)}  in ${bytes(used.input_bytes)}  out ${bytes(out)}`;
}
