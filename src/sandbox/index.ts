export { type Choice, type ChoiceComponents, chooseExecutor } from './choose.ts';
export {
  createDockerExecutor,
  type DockerExecutorComponents,
  type DockerExecutorInit,
} from './docker/executor.ts';
export type { SandboxErrorFacts } from './errors.ts';
export { gpusLacking } from './gpus.ts';
export * from './interface.ts';
export {
  createMemoryExecutor,
  type MemoryExecutor,
  type MemoryExecutorInit,
  type MemoryProgram,
} from './memory.ts';
export {
  createNativeExecutor,
  type NativeExecutorComponents,
  type NativeExecutorInit,
} from './native/executor.ts';
export {
  type DockerOptions,
  dockerDefaults,
  imagesDirFrom,
  type NativeOptions,
  socketPathFrom,
} from './options.ts';
export { type ProbeFinding, probeSandboxes } from './probes.ts';
