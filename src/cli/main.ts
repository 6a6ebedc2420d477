import { EXIT } from './exit.ts';
import { processIo } from './io.ts';
import { runProgram } from './program.ts';

const interrupt = new AbortController();

/** The first one asks for a clean end, a second one does not wait for it. */
function onSignal(signal: NodeJS.Signals): void {
  if (interrupt.signal.aborted) process.exit(EXIT.interrupted);
  interrupt.abort(new Error(`interrupted by ${signal}`));
}

process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);

// All is stopped and written by now; timers that libraries leave behind would keep the process for up to three seconds more.
runProgram(processIo(interrupt.signal), process.argv.slice(2)).then(process.exit);
