// Bundles src into dist/: the command `duxnode.js` with its program and what V8 compiled of it, the typed client
// `client.js`, and the files of the API's documentation page. Usage: node scripts/build.mjs [--entry FILE --out DIR --swap FILE=FILE]
// --swap puts one module in another's place, for tests of what a node does that was changed by its owner; it may import the first.
import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { build } from 'esbuild';
import { banner, external, packagePlugins } from './packages.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: { entry: { type: 'string' }, out: { type: 'string' }, swap: { type: 'string' } },
});
const out = resolve(values.out ?? join(root, 'dist'));
const entry = resolve(values.entry ?? join(root, 'src/cli/main.ts'));
const client = join(root, 'src/api/client.ts');
/**
 * What has run before must not change what a process holds: room for young objects is as large from the start as it ever gets, and what
 * outlived it is looked through each time a quarter has been added (V8's own choice let 30 MiB in use become 75 first; the CPU of 600 tasks
 * is the same). The compiled code is made with the same flags, as V8 takes it with no others.
 */
const V8_FLAGS = [
  '--min-semi-space-size=8',
  '--max-semi-space-size=8',
  '--initial-old-space-size=32',
  '--heap-growing-percent=25',
];
/** Of a start on a busy machine. */
const COMPILE_MS = 60_000;

const [swapped, instead] = values.swap?.split('=').map(file => resolve(file)) ?? [];

const withSwap = {
  name: 'with-swap',
  setup({ onResolve }) {
    if (swapped)
      onResolve({ filter: /^\./ }, ({ path, importer, resolveDir }) =>
        resolve(resolveDir, path) === swapped && importer !== instead ? { path: instead } : undefined,
      );
  },
};

async function exists(path) {
  return stat(path).then(
    () => true,
    () => false,
  );
}

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'external',
  external,
  plugins: [...packagePlugins, withSwap],
  logLevel: 'warning',
};

/**
 * One script and no modules: only of a script V8 can keep what it compiled. Its name changes with its content, so that
 * compiled code never meets another source. One folder down, like the rooms of src are.
 */
async function bundleProgram() {
  const { metafile } = await build({
    ...common,
    entryPoints: { duxnode: entry },
    outdir: join(out, 'program'),
    entryNames: '[name]-[hash]',
    outExtension: { '.js': '.cjs' },
    format: 'cjs',
    define: { 'import.meta.url': '__url' },
    banner: { js: '(function(require,module,exports,__filename,__dirname,__url){' },
    footer: { js: '})' },
    metafile: true,
  });
  const program = Object.keys(metafile.outputs).find(path => path.endsWith('.cjs'));
  await build({
    ...common,
    entryPoints: { duxnode: join(root, 'scripts/program/main.mjs') },
    outdir: out,
    format: 'esm',
    define: { PROGRAM: JSON.stringify(`./program/${basename(program)}`) },
    banner: { js: `#!/usr/bin/env -S node ${V8_FLAGS.join(' ')}` },
  });
  await chmod(join(out, 'duxnode.js'), 0o755);
  return resolve(root, program);
}

async function bundleClient() {
  if (values.entry || !(await exists(client))) return;
  await build({
    ...common,
    entryPoints: { client },
    outdir: out,
    // It sends tasks, and runs none.
    external: [...external, 'dockerode'],
    format: 'esm',
    banner: { js: banner },
  });
}

/** The program works without, only its start is slower: a machine where none can be made builds it, too. */
async function compile(program) {
  const dataDir = await mkdtemp(join(tmpdir(), 'duxnode-build-'));
  const { PATH, TMPDIR = tmpdir() } = process.env;
  const env = { PATH, TMPDIR, DUXNODE_NETWORK_LISTEN: '[/ip4/127.0.0.1/tcp/0]', DUXNODE_SANDBOX_READY: '0' };
  try {
    const argv = [join(root, 'scripts/program/compile.mjs'), program, dataDir];
    await promisify(execFile)(process.execPath, [...V8_FLAGS, ...argv], {
      cwd: dataDir,
      env,
      timeout: COMPILE_MS,
    });
  } catch (error) {
    console.error(`build: no compiled code, so that starts are slower: ${error.message}`);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** The documentation page loads nothing from elsewhere, so its files are ours to serve. */
async function copyDocs() {
  const from = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  const to = join(out, 'docs');
  await mkdir(to, { recursive: true });
  const names = [
    'swagger-ui.css',
    'swagger-ui-bundle.js',
    'swagger-ui-standalone-preset.js',
    'favicon-16x16.png',
    'favicon-32x32.png',
    'LICENSE',
    'NOTICE',
  ];
  await Promise.all(names.map(name => copyFile(join(from, name), join(to, name))));
}

if (!(await exists(entry))) {
  console.error(`build: ${entry} is missing`);
  process.exit(1);
}
await rm(out, { recursive: true, force: true });
const [program] = await Promise.all([bundleProgram(), bundleClient(), copyDocs()]);
if (!values.swap) await compile(program);
