import { type Clock, hasCode, withDeadline } from '../../util/index.ts';
import { MAX_INPUTS_BYTES } from '../../wire/index.ts';
import { ApiError } from '../errors.ts';
import { UPLOAD_SILENCE_MS } from '../options.ts';
import { attachment } from '../reply.ts';
import type { blobRoutes } from '../routes/blobs.ts';
import type { HandlerParts, Handlers } from './context.ts';

/** The body's pieces. @throws CodedError `TIMEOUT`; ApiError `BODY_BROKEN`. */
async function* unlessSilent(body: AsyncIterable<Uint8Array>, clock: Clock): AsyncGenerator<Uint8Array> {
  const pieces = body[Symbol.asyncIterator]();
  let isSilent = false;
  const next = () => withDeadline(UPLOAD_SILENCE_MS, 'the next bytes', () => pieces.next(), { clock });
  try {
    for (let piece = await next(); !piece.done; piece = await next()) yield piece.value;
  } catch (cause) {
    isSilent = hasCode(cause, 'TIMEOUT');
    if (isSilent) throw cause;
    throw new ApiError({ code: 'BODY_BROKEN' }, 'the body broke off', { cause });
  } finally {
    // a piece that is still waited for would be waited for here too
    if (!isSilent) await pieces.return?.();
  }
}

export function blobHandlers({ blobs, clock }: HandlerParts): Pick<Handlers, keyof typeof blobRoutes> {
  return {
    async putBlob({ body }) {
      const writer = await blobs.create(MAX_INPUTS_BYTES);
      try {
        for await (const bytes of unlessSilent(body, clock)) await writer.write(bytes);
        return { status: 201, body: await writer.commit() };
      } finally {
        await writer.discard();
      }
    },
    async getBlob({ params: { cid } }) {
      const reading = await blobs.read(cid).catch(error => {
        if (hasCode(error, 'BLOB_NAME')) return undefined;
        throw error;
      });
      if (!reading)
        throw new ApiError({ code: 'BLOB_NOT_FOUND', cid }, 'this node has no bytes of this name');
      return { status: 200, headers: { 'content-disposition': attachment(cid) }, body: reading };
    },
  };
}
