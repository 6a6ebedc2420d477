import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';

/** What V8 compiled of a program, for this version of Node on this kind of machine. */
export function compiledPath(program) {
  return `${program}.${process.version}-${process.platform}-${process.arch}`;
}

/** V8 takes compiled code only from its own version with its own flags, and compiles as usual where it takes none. */
export function load(program) {
  const compiled = compiledPath(program);
  const cachedData = existsSync(compiled) ? readFileSync(compiled) : undefined;
  // esbuild writes nothing but ASCII, and this is the decoder that is fastest.
  return new Script(readFileSync(program, 'latin1'), { filename: program, cachedData });
}

/** The source is one function (build.mjs), of what a CommonJS module knows and its own URL. */
export function run(script, program) {
  const module = { exports: {} };
  const start = script.runInThisContext();
  start(
    createRequire(program),
    module,
    module.exports,
    program,
    dirname(program),
    pathToFileURL(program).href,
  );
}
