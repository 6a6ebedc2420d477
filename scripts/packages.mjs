// What a bundle that takes npm packages in has to know of them; for scripts/build.mjs and test/runner/bundle.ts.

/** Packages that stay outside the bundle and are resolved from node_modules: they load compiled code from beside themselves. */
export const external = ['classic-level', 'cpu-features', '*.node'];

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
export const withoutRemoteEngines = {
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
