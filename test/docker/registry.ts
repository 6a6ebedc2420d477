import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import * as tar from 'tar-stream';

/** A registry on loopback with one image, `small:1`; engines take loopback registries without TLS. */
export interface Registry {
  readonly host: string;
  /** From now on layers are begun and never ended. */
  stall(): void;
  close(): Promise<void>;
}

const sha256 = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

async function layerOf(text: string): Promise<Buffer> {
  const pack = tar.pack();
  pack.entry({ name: 'data' }, text);
  pack.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of pack) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** By the distribution specification: a manifest, a config and one layer. */
export async function createRegistry(): Promise<Registry> {
  const layer = await layerOf(`made at ${process.hrtime.bigint()}`);
  const packed = gzipSync(layer);
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: [sha256(layer)] },
    }),
  );
  const type = 'application/vnd.docker.distribution.manifest.v2+json';
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: type,
      config: {
        mediaType: 'application/vnd.docker.container.image.v1+json',
        size: config.length,
        digest: sha256(config),
      },
      layers: [
        {
          mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
          size: packed.length,
          digest: sha256(packed),
        },
      ],
    }),
  );
  let stalled = false;
  const answers = new Map<string, Buffer>([
    ['/v2/', Buffer.from('{}')],
    ['/v2/small/manifests/1', manifest],
    [`/v2/small/manifests/${sha256(manifest)}`, manifest],
    [`/v2/small/blobs/${sha256(config)}`, config],
    [`/v2/small/blobs/${sha256(packed)}`, packed],
  ]);

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const body = answers.get(request.url ?? '');
    if (!body) {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }] }));
      return;
    }
    const manifestAsked = request.url?.includes('/manifests/');
    response.writeHead(200, {
      'content-type': manifestAsked ? type : 'application/octet-stream',
      'content-length': body.length,
      ...(manifestAsked ? { 'docker-content-digest': sha256(manifest) } : {}),
    });
    if (stalled && body === packed) response.write(body.subarray(0, 1));
    else response.end(request.method === 'HEAD' ? undefined : body);
  }

  const server = createServer(answer);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    stall() {
      stalled = true;
    },
    close() {
      server.closeAllConnections();
      return new Promise(resolve => server.close(() => resolve()));
    },
  };
}
