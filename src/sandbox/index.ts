export {
  createDockerExecutor,
  type DockerExecutorComponents,
  type DockerExecutorInit,
} from './docker/executor.ts';
export type { SandboxErrorFacts } from './errors.ts';
export { gpusLacking } from './gpus.ts';
export { type ImageName, isImagePattern, matchesImage, parseImage } from './image-name.ts';
export * from './interface.ts';
export {
  createMemoryExecutor,
  type MemoryExecutor,
  type MemoryExecutorInit,
  type MemoryProgram,
} from './memory.ts';
export { type DockerOptions, dockerDefaults, socketPathFrom } from './options.ts';
