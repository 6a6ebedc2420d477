import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { banner, external, packagePlugins } from '../../scripts/packages.mjs';

const CHILD = 'test/runner/child.ts';

/** Each test file, and what runs one, as JavaScript, packages too: loading sources one by one takes seconds of a core for each file. */
export interface Bundles {
  readonly dir: string;
  readonly child: string;
  /** Of a source's path. */
  of(path: string): string;
  remove(): Promise<void>;
}

/** What a file says of its own place stays that of its source. */
const inPlace: Plugin = {
  name: 'in-place',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const contents = text
        .replaceAll(/\bimport\.meta\.url\b/g, JSON.stringify(pathToFileURL(path).href))
        .replaceAll(/\bimport\.meta\.dirname\b/g, JSON.stringify(dirname(path)));
      return { contents, loader: 'ts' };
    });
  },
};

/** @throws esbuild's error for a file that cannot be read as TypeScript, or imports what is not there. */
export async function bundle(root: string, paths: readonly string[]): Promise<Bundles> {
  const cache = join(root, '.cache');
  await mkdir(cache, { recursive: true });
  // within the repository, so that packages are found
  const out = await mkdtemp(join(cache, 'tests-'));
  const remove = () => rm(out, { recursive: true, force: true });
  try {
    await build({
      absWorkingDir: root,
      entryPoints: [...new Set([...paths, CHILD])],
      outdir: out,
      outbase: root,
      outExtension: { '.js': '.mjs' },
      chunkNames: 'chunks/[hash]',
      bundle: true,
      splitting: true,
      external: [...external, 'esbuild'],
      banner: { js: banner },
      format: 'esm',
      platform: 'node',
      target: 'node20',
      sourcemap: 'linked',
      sourcesContent: false,
      plugins: [inPlace, ...packagePlugins],
      logLevel: 'silent',
    });
  } catch (error) {
    await remove();
    throw error;
  }
  const of = (path: string) => join(out, path.replace(/ts$/, 'mjs'));
  return { dir: out, child: of(CHILD), of, remove };
}
