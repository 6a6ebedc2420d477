import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { VERSION } from '../src/util/index.ts';

const test = suite('package');

const dist = fileURLToPath(new URL('../dist', import.meta.url));

/** The names of the program and of what V8 compiled of it. */
async function programFiles(): Promise<{ program: string; compiled: string }> {
  const names = await readdir(join(dist, 'program'));
  const program = names.find(name => name.endsWith('.cjs'));
  assert.ok(program);
  return { program, compiled: `${program}.${process.version}-${process.platform}-${process.arch}` };
}

test('exports the typed client and nothing else', () => {
  assert.is(fileURLToPath(import.meta.resolve('duxnode/client')), join(dist, 'client.js'));
  assert.throws(() => import.meta.resolve('duxnode'), /ERR_PACKAGE_PATH_NOT_EXPORTED|exports/);
});

const LOAD = `
const { readFileSync } = require('node:fs');
const [program, compiled] = process.argv.slice(1).map(file => readFileSync(file));
const script = new (require('node:vm').Script)(program.toString('latin1'), { cachedData: compiled });
console.log(script.cachedDataRejected);
`;

test('brings what V8 compiled at the build, and V8 takes it with the flags of the command', async () => {
  const { program, compiled } = await programFiles();
  const [firstLine = ''] = (await readFile(join(dist, 'duxnode.js'), 'utf8')).split('\n');
  const flags = firstLine.split(' ').filter(word => word.startsWith('--'));
  const files = [program, compiled].map(name => join(dist, 'program', name));
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, '-e', LOAD, ...files]);
  assert.is(stdout, 'false\n');
});

test('the program is ASCII, as its loader decodes it', async () => {
  const { program } = await programFiles();
  const bytes = await readFile(join(dist, 'program', program));
  assert.not.ok(bytes.some(byte => byte > 127));
});

test('runs without compiled code, and with some that V8 does not take', async () => {
  const { program, compiled } = await programFiles();
  const dir = await mkdtemp(join(tmpdir(), 'duxnode-package-'));
  const version = async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      join(dir, 'dist/duxnode.js'),
      '--version',
    ]);
    return stdout.trim();
  };
  try {
    await writeFile(join(dir, 'package.json'), '{"type":"module"}');
    for (const name of ['duxnode.js', join('program', program)])
      await cp(join(dist, name), join(dir, 'dist', name));
    assert.is(await version(), VERSION);
    await writeFile(join(dir, 'dist/program', compiled), 'of another version');
    assert.is(await version(), VERSION);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test.run();
