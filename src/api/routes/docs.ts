import * as z from 'zod';
import { bytes, defineRoute, text } from '../route.ts';

const common = { access: 'local', method: 'GET', tag: 'docs' } as const;

export const docsRoutes = {
  getOpenApi: defineRoute({
    ...common,
    path: '/openapi.json',
    summary: 'This document',
    responses: { 200: text('application/json', 'OpenAPI 3.1') },
  }),
  getMetrics: defineRoute({
    ...common,
    path: '/metrics',
    summary: 'Metrics for Prometheus',
    responses: { 200: text('text/plain', 'Prometheus text format') },
  }),
  getDocs: defineRoute({
    ...common,
    path: '/docs',
    summary: 'These paths, to read and to try',
    responses: { 200: text('text/html', 'Swagger UI') },
  }),
  getErrorDocs: defineRoute({
    ...common,
    path: '/docs/errors',
    summary: 'What each error code means',
    responses: { 200: text('text/html', 'A table') },
  }),
  getDocsFile: defineRoute({
    ...common,
    path: '/docs/{file}',
    summary: 'A file of the page /docs',
    params: z.strictObject({ file: z.string().max(100) }),
    responses: { 200: bytes('application/octet-stream', 'Script, style or icon') },
  }),
};
