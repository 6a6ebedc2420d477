/** What a command may touch of its process; tests bring their own. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Results. Resolves when the pipe took it. */
  out(content: string | Uint8Array): Promise<void>;
  /** Progress and errors. */
  err(content: string | Uint8Array): Promise<void>;
  readonly outIsTerminal: boolean;
  readonly errIsTerminal: boolean;
  stdin(): Promise<string>;
  /** Aborts with SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
}

/** More than the largest task that a daemon takes. */
const MAX_STDIN_BYTES = 16 * 2 ** 20;

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin) {
    size += (chunk as Buffer).length;
    if (size > MAX_STDIN_BYTES) throw new RangeError(`stdin holds more than ${MAX_STDIN_BYTES} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function writer(stream: NodeJS.WriteStream): (content: string | Uint8Array) => Promise<void> {
  return content =>
    new Promise((resolve, reject) => stream.write(content, error => (error ? reject(error) : resolve())));
}

/** The real process. A reader that went away (`| head`) ends the command quietly. */
export function processIo(signal: AbortSignal): Io {
  process.stdout.on('error', error => {
    if ('code' in error && error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return {
    env: process.env,
    out: writer(process.stdout),
    err: writer(process.stderr),
    outIsTerminal: process.stdout.isTTY === true,
    errIsTerminal: process.stderr.isTTY === true,
    stdin: readStdin,
    signal,
  };
}
