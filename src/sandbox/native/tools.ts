/** Where a system keeps its own programs; a user's PATH often lacks the first and the third. */
const SYSTEM = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const ADMIN = ['/usr/sbin', '/sbin'];

/**
 * The environment of the programs that make sandboxes: nothing of the daemon's own but its PATH, the system's folders
 * first. Wrappers that others put before them are slow, and not for root to run.
 */
export function toolEnvironment(): Record<string, string> {
  const said = (process.env.PATH ?? SYSTEM.join(':')).split(':').filter(folder => folder.startsWith('/'));
  const system = SYSTEM.filter(folder => said.includes(folder) || ADMIN.includes(folder));
  return { PATH: [...new Set([...system, ...said])].join(':'), LC_ALL: 'C' };
}
