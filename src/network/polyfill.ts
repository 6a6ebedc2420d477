/**
 * libp2p 2.10 (peer-store -> mortice -> it-queue) calls Promise.withResolvers, which Node has from version 22. This must be
 * the first import of every entry point that reaches libp2p.
 */
const target = Promise as unknown as { withResolvers?: unknown };

target.withResolvers ??= function withResolvers<T>() {
  let resolve!: (value: T | PromiseLike<T>) => void;
  let reject!: (reason?: unknown) => void;
  const promise = new Promise<T>((a, b) => {
    resolve = a;
    reject = b;
  });
  return { promise, resolve, reject };
};
