import * as z from 'zod';
import { cidSchema } from '../../wire/index.ts';
import { defineRoute, file, json } from '../route.ts';

export const BLOB_TYPE = 'application/octet-stream';

export const blobRoutes = {
  putBlob: defineRoute({
    tag: 'blobs',
    access: 'local',
    method: 'PUT',
    path: '/blobs',
    summary: 'Store bytes for the inputs of tasks; kept while a task needs them, and at least an hour',
    body: { kind: 'upload', type: BLOB_TYPE },
    responses: { 201: json(z.object({ cid: cidSchema, size: z.int() }), 'Stored; name it by its cid') },
  }),
  getBlob: defineRoute({
    tag: 'blobs',
    access: 'local',
    method: 'GET',
    path: '/blobs/{cid}',
    summary: 'Bytes by their content id: an input, an output, or what a task wrote',
    params: z.strictObject({ cid: z.string().max(100) }),
    responses: { 200: file(BLOB_TYPE, 'The bytes, as a download') },
  }),
};
