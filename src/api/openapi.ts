import * as z from 'zod';
import { ERRORS } from './errors.ts';
import { AMOUNT_FIELDS } from './json-text.ts';
import { openApiPath, type ReplyDef, type Route } from './route.ts';
import { ROUTE_IDS, routes } from './routes/table.ts';

type Json = Record<string, unknown>;

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}

/** Amounts are taken as JSON numbers too: as text they only arrive here because our parser keeps them so. */
function bodySchemaOf(schema: z.ZodType): Json {
  const result = schemaOf(schema, 'input');
  const properties = (result.properties ?? {}) as Record<string, Json>;
  const amounts = [...AMOUNT_FIELDS].filter(name => properties[name] !== undefined);
  const widened = amounts.map(name => [name, { ...properties[name], type: ['number', 'string'] }]);
  return { ...result, properties: { ...properties, ...Object.fromEntries(widened) } };
}

function parametersOf(route: Route): Json[] {
  const places = [
    ['path', route.params],
    ['query', route.query],
    ['header', route.headers],
  ] as const;
  return places.flatMap(([place, schema]) =>
    Object.entries(schema?.shape ?? {}).map(([name, field]) => ({
      name,
      in: place,
      required: place === 'path' || !(field as z.ZodType).safeParse(undefined).success,
      schema: schemaOf(field as z.ZodType, 'input'),
    })),
  );
}

function contentOf(reply: ReplyDef): Json {
  if (reply.kind === 'json') return { 'application/json': { schema: schemaOf(reply.schema, 'output') } };
  if (reply.kind === 'stream')
    return {
      'application/x-ndjson': { schema: schemaOf(reply.schema, 'output') },
      'text/event-stream': { schema: { type: 'string' } },
    };
  return { [reply.type]: { schema: { type: 'string' } } };
}

function responsesOf(route: Route): Json {
  const replies = Object.entries(route.responses).map(([status, reply]) => [
    status,
    { description: reply.what, content: contentOf(reply) },
  ]);
  return { ...Object.fromEntries(replies), default: { $ref: '#/components/responses/Problem' } };
}

function requestBodyOf({ body }: Route): Json {
  if (body === undefined) return {};
  const content =
    body.kind === 'json'
      ? { 'application/json': { schema: bodySchemaOf(body.schema) } }
      : { [body.type]: { schema: { type: 'string', format: 'binary' } } };
  return { requestBody: { required: true, content } };
}

function operationOf(id: string, route: Route): Json {
  return {
    operationId: id,
    tags: [route.tag],
    summary: route.summary,
    parameters: parametersOf(route),
    ...requestBodyOf(route),
    responses: responsesOf(route),
    security: route.access === 'token' ? [{ token: [] }] : [{}, { token: [] }],
  };
}

const PROBLEM = {
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'detail'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', enum: Object.keys(ERRORS) },
    detail: { type: 'string' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['field', 'message'],
        properties: { field: { type: 'string' }, message: { type: 'string' } },
      },
    },
  },
};

/** The route table as OpenAPI 3.1. */
export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {};
  for (const id of ROUTE_IDS) {
    const route: Route = routes[id];
    const path = openApiPath(route.path);
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(id, route) };
  }
  const problem = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };
  return {
    openapi: '3.1.0',
    info: {
      title: 'duxnode control port',
      version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: {
      schemas: { Problem: PROBLEM },
      responses: { Problem: { description: 'RFC 9457 problem', content: problem } },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
  };
}
