import type { SandboxLimits, SandboxSink } from './interface.ts';

type Stream = 'stdout' | 'stderr';

/** What a task wrote, up to its caps, passed on live. */
export interface Capture {
  /** Keeps and passes on what still fits; resolves when the sink took it. False when the cap was gone over. */
  push(stream: Stream, bytes: Uint8Array): Promise<boolean>;
  result(): {
    readonly stdout: Uint8Array;
    readonly stderr: Uint8Array;
    readonly truncated: { readonly stdout: boolean; readonly stderr: boolean };
  };
}

/** `released` settles when nobody is to wait for the sink any more, as the task was killed. */
export function createCapture(limits: SandboxLimits, sink: SandboxSink, released: Promise<unknown>): Capture {
  const kept = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
  const left = { stdout: limits.stdoutBytes, stderr: limits.stderrBytes };
  const truncated = { stdout: false, stderr: false };
  return {
    async push(stream, bytes) {
      const fits = bytes.subarray(0, left[stream]);
      left[stream] -= fits.length;
      if (fits.length < bytes.length) truncated[stream] = true;
      if (fits.length > 0) {
        kept[stream].push(fits);
        const taken = sink[stream](fits);
        if (taken) await Promise.race([taken, released]);
      }
      return !truncated[stream];
    },
    result: () => ({
      stdout: Buffer.concat(kept.stdout),
      stderr: Buffer.concat(kept.stderr),
      truncated: { ...truncated },
    }),
  };
}
