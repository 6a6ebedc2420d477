export { type Choice, type ChoiceComponents, chooseExecutor } from './choose.ts';
export { createDisks, type Disks } from './disks.ts';
export {
  createDockerExecutor,
  type DockerExecutorComponents,
  type DockerExecutorInit,
} from './docker/executor.ts';
export { createEgress, type Egress, type EgressComponents, type EgressInit } from './egress/egress.ts';
export { hostNotLent } from './egress/rules.ts';
export type { SandboxErrorFacts } from './errors.ts';
export { detectGpus } from './gpu-detect.ts';
export { gpusLacking } from './gpus.ts';
export { type ImageName, isImagePattern, matchesImage, parseImage } from './image-name.ts';
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
