import type { ContainerCreateOptions, HostConfig } from 'dockerode';
import type { Weakening } from '../../../src/sandbox/docker/boxes.ts';
import type { Without } from './lab.ts';
import { inCommand, natively } from './native-weakenings.ts';
import { replaced } from './replaced.ts';

/** Each of these takes one protection out of a container's configuration, and no other. */

export const all =
  (...weakenings: readonly Weakening[]): Weakening =>
  config =>
    weakenings.reduce((weaker, weaken) => weaken(weaker), config);

export const host =
  (change: HostConfig): Weakening =>
  config => ({ ...config, HostConfig: { ...config.HostConfig, ...change } });

const securityOf = (config: ContainerCreateOptions): string[] => config.HostConfig?.SecurityOpt ?? [];

export const noSeccomp: Weakening = config => {
  const kept = securityOf(config).filter(option => !option.startsWith('seccomp='));
  return host({ SecurityOpt: [...kept, 'seccomp=unconfined'] })(config);
};

export const newPrivileges: Weakening = config => {
  const kept = securityOf(config).filter(option => option !== 'no-new-privileges');
  return host({ SecurityOpt: kept })(config);
};

/** Another user than the container's own: 0 is root, which may do little as long as it has no capabilities. */
export const asUser =
  (uid: number): Weakening =>
  config => {
    const tmpfs = Object.entries<string>(config.HostConfig?.Tmpfs ?? {}).map(([path, options]) => [
      path,
      options.replace(/uid=\d+,gid=\d+/, `uid=${uid},gid=${uid}`),
    ]);
    return { ...host({ Tmpfs: Object.fromEntries(tmpfs) })(config), User: `${uid}:${uid}` };
  };

/** Root with the capabilities that an engine gives unasked, and more. */
export const rootWith = (...capabilities: readonly string[]): Weakening =>
  all(asUser(0), host({ CapDrop: [], CapAdd: [...capabilities] }));

export const network =
  (mode: string): Weakening =>
  config => {
    const { Hostname: _, ...rest } = host({ NetworkMode: mode })(config);
    return { ...rest, NetworkDisabled: false };
  };

/** Replaces text in the options of one tmpfs. */
export const tmpfs =
  (path: string, from: string | RegExp, to: string): Weakening =>
  config => {
    const mounts: Record<string, string> = config.HostConfig?.Tmpfs ?? {};
    return host({ Tmpfs: { ...mounts, [path]: replaced(mounts[path] ?? '', from, to) } })(config);
  };

export const noLimit =
  (name: string): Weakening =>
  config =>
    host({ Ulimits: (config.HostConfig?.Ulimits ?? []).filter(limit => limit.Name !== name) })(config);

/** Replaces text in the launcher. */
export const dockerLauncher =
  (from: string, to: string): Weakening =>
  config => {
    const words = [config.Entrypoint ?? []].flat();
    const source = replaced(words.at(-1) ?? '', from, to);
    return { ...config, Entrypoint: [...words.slice(0, -1), source] };
  };

/** A launcher with some of its text replaced, in every runtime. */
export const launcher = (...changes: readonly (readonly [from: string, to: string])[]): Without => ({
  docker: all(...changes.map(([from, to]) => dockerLauncher(from, to))),
  native: natively(...changes.map(([from, to]) => inCommand(from, to))),
});
