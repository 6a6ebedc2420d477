import { createDocsFiles, DOCS_CSP, DOCS_PAGE, errorsPage } from '../docs-files.ts';
import { ApiError } from '../errors.ts';
import { openApiDocument } from '../openapi.ts';
import type { docsRoutes } from '../routes/docs.ts';
import type { HandlerParts, Handlers } from './context.ts';

const html = { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': DOCS_CSP };

export function docsHandlers(parts: HandlerParts): Pick<Handlers, keyof typeof docsRoutes> {
  const file = createDocsFiles();
  let document: string | undefined;
  return {
    async getOpenApi() {
      document ??= JSON.stringify(openApiDocument(parts.node.facts().version), null, 2);
      const headers = { 'content-type': 'application/json; charset=utf-8' };
      return { status: 200, headers, body: document };
    },
    async getMetrics() {
      const headers = { 'content-type': parts.metrics.contentType };
      return { status: 200, headers, body: await parts.metrics.text() };
    },
    getDocs: async () => ({ status: 200, headers: html, body: DOCS_PAGE }),
    getErrorDocs: async () => ({ status: 200, headers: html, body: errorsPage() }),
    async getDocsFile({ params }) {
      const found = await file(params.file);
      if (!found) throw new ApiError({ code: 'NOT_FOUND' }, 'the page /docs has no such file');
      return { status: 200, headers: { 'content-type': found.type }, body: found.bytes };
    },
  };
}
