import { fileURLToPath } from 'node:url';
import { load, run } from './load.mjs';

// The command `duxnode`. build.mjs puts the program's name here.
const program = fileURLToPath(new URL(PROGRAM, import.meta.url));
run(load(program), program);
