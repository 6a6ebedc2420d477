// Bundles src into dist/: the command `duxnode.js`, the typed client `client.js`, chunks they share, and the files of
// the API's documentation page. Usage: node scripts/build.mjs [--entry FILE --out DIR --swap FILE=FILE]
// --swap puts one module in another's place, for tests of what a node does that was changed by its owner; it may import the first.
import { chmod, copyFile, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { banner, external, withoutRemoteEngines } from './packages.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: { entry: { type: 'string' }, out: { type: 'string' }, swap: { type: 'string' } },
});
const out = resolve(values.out ?? join(root, 'dist'));
const entry = resolve(values.entry ?? join(root, 'src/cli/main.ts'));
const client = join(root, 'src/api/client.ts');

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

async function bundle() {
  await build({
    absWorkingDir: root,
    entryPoints: {
      duxnode: entry,
      ...(!values.entry && (await exists(client)) ? { client } : {}),
    },
    outdir: out,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    chunkNames: 'chunks/[name]-[hash]',
    external,
    banner: { js: banner },
    minifyWhitespace: true,
    minifySyntax: true,
    plugins: [withoutRemoteEngines, withSwap],
    logLevel: 'warning',
  });
  await makeCommand(join(out, 'duxnode.js'));
}

async function makeCommand(path) {
  const text = await readFile(path, 'utf8');
  if (!text.startsWith('#!')) await writeFile(path, `#!/usr/bin/env node\n${text}`);
  await chmod(path, 0o755);
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
await Promise.all([bundle(), copyDocs()]);
