import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ERRORS, problemType } from './errors.ts';

/** What /docs needs of swagger-ui-dist; scripts/build.mjs copies these beside the bundle, into `docs/`. */
export const SWAGGER_FILES: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

const START_SCRIPT = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#docs', deepLinking: true, validatorUrl: null });\n`;

/** Everything from here, nothing from elsewhere; Swagger UI draws its icons from data: URLs. */
export const DOCS_CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const page = (title: string, head: string, body: string) =>
  `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title}</title>${head}</head><body>${body}</body></html>
`;

export const DOCS_PAGE = page(
  'duxnode control port',
  '<link rel="stylesheet" href="/docs/swagger-ui.css"><link rel="icon" href="/docs/favicon-32x32.png">',
  '<div id="docs"></div><script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script>',
);

/** What each code means: where the `type` of a problem points to. */
export function errorsPage(): string {
  const rows = Object.entries(ERRORS).map(([code, { status, title }]) => {
    const id = problemType(code).split('#')[1];
    return `<tr id="${id}"><td><code>${code}</code></td><td>${status}</td><td>${title}</td></tr>`;
  });
  const head = '<tr><th>code</th><th>status</th><th>meaning</th></tr>';
  return page('duxnode error codes', '', `<h1>Error codes</h1><table>${head}${rows.join('\n')}</table>`);
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Beside the bundle (its chunks are one folder down); in a checkout, where npm put the package. */
async function readSwaggerFile(name: string): Promise<Uint8Array | undefined> {
  for (const folder of ['./docs/', '../docs/']) {
    const beside = await readIfThere(fileURLToPath(new URL(`${folder}${name}`, import.meta.url)));
    if (beside) return beside;
  }
  try {
    const manifest = createRequire(import.meta.url).resolve('swagger-ui-dist/package.json');
    return await readIfThere(join(dirname(manifest), name));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

/** A file of /docs, read when it is asked for and kept. Undefined for any other name. */
export function createDocsFiles(): (
  name: string,
) => Promise<{ type: string; bytes: Uint8Array } | undefined> {
  const kept = new Map<string, Uint8Array>();
  return async name => {
    if (name === 'start.js')
      return { type: 'text/javascript; charset=utf-8', bytes: Buffer.from(START_SCRIPT) };
    const type = Object.hasOwn(SWAGGER_FILES, name) ? SWAGGER_FILES[name] : undefined;
    if (type === undefined) return undefined;
    const bytes = kept.get(name) ?? (await readSwaggerFile(name));
    if (bytes === undefined) return undefined;
    kept.set(name, bytes);
    return { type, bytes };
  };
}
