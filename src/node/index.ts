export { ConfigError, type ConfigSources, loadConfig } from './config.ts';
export { createDaemon, type Daemon, type DaemonOptions, type StartReport } from './daemon.ts';
export { initNetwork, joinNetwork, type PrepareOptions, requireAdmin } from './founding.ts';
export { gpusOf } from './lending.ts';
export { type DuxNode, type NodeComponents, type NodeInit, startNode } from './node.ts';
export { type Config, configSchema } from './options.ts';
