// What a bundle that takes npm packages in has to know of them; for scripts/build.mjs and test/runner/bundle.ts.

/** Compiled code stays outside the bundle, and is resolved from node_modules. */
export const external = ['classic-level/package.json', 'cpu-features', '*.node'];

/** CommonJS packages in the bundle use these three, which ES modules lack. Names of their own, to meet no other import. */
export const banner = [
  "import { createRequire as __createRequire } from 'node:module';",
  "import { dirname as __dirnameOf } from 'node:path';",
  "import { fileURLToPath as __pathOf } from 'node:url';",
  'const require = __createRequire(import.meta.url);',
  'const __filename = __pathOf(import.meta.url);',
  'const __dirname = __dirnameOf(__filename);',
].join('\n');

/**
 * dockerode talks to engines over SSH and to BuildKit over gRPC, too; we do neither, and loading both costs 90 ms and 8 MB
 * at every start.
 */
const withoutRemoteEngines = {
  name: 'without-remote-engines',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(@grpc\/|protobufjs|ssh2|\.\/session)/ }, ({ path, importer }) =>
      /node_modules\/(dockerode|docker-modem)\//.test(importer) ? { path, namespace: 'left-out' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({
      contents: 'module.exports = {};',
      loader: 'js',
    }));
  },
};

/** classic-level finds its compiled part beside itself; its own code is bundled, as each file of a package costs a start time. */
const withLevelBinding = {
  name: 'with-level-binding',
  setup({ onLoad }) {
    onLoad({ filter: /node_modules\/classic-level\/binding\.js$/ }, () => ({
      contents:
        "const { dirname } = require('node:path'); module.exports = require('node-gyp-build')(dirname(require.resolve('classic-level/package.json')));",
      loader: 'js',
    }));
  },
};

export const packagePlugins = [withoutRemoteEngines, withLevelBinding];
