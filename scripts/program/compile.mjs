// Runs a built program as a daemon until it listens, and keeps what V8 compiled for that: half of the time of a start.
// Usage: node scripts/program/compile.mjs PROGRAM EMPTY-DIRECTORY
import { watch, writeFileSync } from 'node:fs';
import { compiledPath, load, run } from './load.mjs';

const [, command, program, dataDir] = process.argv;
const script = load(program);
process.once('exit', code => {
  if (code === 0) writeFileSync(compiledPath(program), script.createCachedData());
});
const looking = watch(dataDir, (_, name) => {
  if (name !== 'api.json') return;
  looking.close();
  process.kill(process.pid, 'SIGTERM');
});
process.argv = [process.execPath, command, 'start', '--data', dataDir, '--api-port', '0'];
run(script, program);
