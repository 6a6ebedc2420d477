import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';

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
  /** A line that is typed unseen; null where nobody sits at a terminal. */
  readonly askSecret: ((question: string) => Promise<string>) | null;
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

/** What is typed is read key by key and never shown; the question goes to stderr. */
async function askSecret(question: string, signal: AbortSignal): Promise<string> {
  const unseen = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: unseen, terminal: true });
  // a terminal that is read key by key makes no signal of Ctrl-C by itself
  lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  process.stderr.write(question);
  try {
    return await lines.question('', { signal });
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
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
    askSecret: process.stdin.isTTY && process.stderr.isTTY ? question => askSecret(question, signal) : null,
    signal,
  };
}
