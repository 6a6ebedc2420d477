/** Times of the week, in the machine's own time zone. One that ends before it begins goes on into the next day. */
export interface Hours {
  /** 0 is Sunday. */
  readonly days: ReadonlySet<number>;
  /** Minutes of the day; `to` is not part of it any more. */
  readonly from: number;
  readonly to: number;
}

/** When this machine takes others' tasks. */
export interface Lending {
  /** Null: at all times. */
  readonly hours: readonly Hours[] | null;
  /** Load of a core, by everything but tasks, above which none is taken; null: load does not count. */
  readonly maxLoad: number | null;
}

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const DAY_MINUTES = 24 * 60;
const ALL_DAYS = [0, 1, 2, 3, 4, 5, 6];

/** `22:00-06:00`, `sat,sun 00:00-24:00`, `mon-fri 18:30-08:00`; undefined for anything else. */
export function parseHours(text: string): Hours | undefined {
  const [, names, ...times] = /^(?:([a-z,-]+) )?(\d\d):(\d\d)-(\d\d):(\d\d)$/.exec(text) ?? [];
  const [fromHour = 99, fromMinute = 99, toHour = 99, toMinute = 99] = times.map(Number);
  const from = fromHour * 60 + fromMinute;
  const to = toHour * 60 + toMinute;
  const days = names === undefined ? ALL_DAYS : names.split(',').flatMap(daysOf);
  const isTime = fromMinute < 60 && toMinute < 60 && from < DAY_MINUTES && to <= DAY_MINUTES && from !== to;
  return isTime && days.length > 0 && !days.includes(-1) ? { days: new Set(days), from, to } : undefined;
}

/** `mon` or `fri-mon`; -1 for what is no day. */
function daysOf(text: string): number[] {
  const [first = -1, last = first, ...more] = text.split('-').map(name => DAYS.indexOf(name));
  if (first < 0 || last < 0 || more.length > 0) return [-1];
  return Array.from({ length: ((last - first + 7) % 7) + 1 }, (_, i) => (first + i) % 7);
}

export function isWithin(hours: readonly Hours[], date: Date): boolean {
  const minute = date.getHours() * 60 + date.getMinutes();
  const today = date.getDay();
  const yesterday = (today + 6) % 7;
  return hours.some(({ days, from, to }) =>
    from < to
      ? days.has(today) && minute >= from && minute < to
      : (days.has(today) && minute >= from) || (days.has(yesterday) && minute < to),
  );
}

/** What is known of the machine: its load average of the last minute, its cores, and what tasks hold of them. */
export interface MachineLoad {
  readonly load: number;
  readonly cores: number;
  readonly heldMilliCpus: number;
}

/** Why no task of others is taken now; null when they are. Tasks are taken to use all that they hold. */
export function whyPaused({ hours, maxLoad }: Lending, now: number, machine: MachineLoad): string | null {
  if (hours && !isWithin(hours, new Date(now))) return 'lends nothing at this time of the week';
  const others = Math.max(0, machine.load - machine.heldMilliCpus / 1000) / machine.cores;
  return maxLoad !== null && others > maxLoad ? 'its owner is using it' : null;
}
