import { createHash, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

/** The server that a run connects to. It is outside the process in which calls fail. */
export interface World extends AsyncDisposable {
  /** `http://127.0.0.1:5000`. */
  readonly url: string;
  /** The SHA-256 of everything that runs have left there, by name. */
  state(): Map<string, string>;
  /** Forgets the files that runs have left. */
  reset(): void;
}

const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** A web server for the files of a folder. */
export function fileWorld(folder: string): Promise<World> {
  return listening(
    (request, response) => {
      const name = decodeURIComponent((request.url ?? '').slice(1));
      if (!readdirSync(folder).includes(name)) return void response.writeHead(404).end();
      sendPart(request, response, readFileSync(join(folder, name)));
    },
    { state: () => new Map(), reset() {} },
  );
}

/** An OCI registry with one repository. If a folder is given, it holds that bundle under the tag `t`. */
export function registryWorld(bundle?: string): Promise<World> {
  const blobs = new Map<string, Buffer>();
  const tags = new Map<string, { bytes: Buffer; type: string }>();
  const uploads = new Map<string, Buffer>();
  const reset = () => {
    for (const map of [blobs, tags, uploads]) map.clear();
    if (bundle === undefined) return;
    for (const name of readdirSync(join(bundle, 'blobs/sha256'))) {
      blobs.set(`sha256:${name}`, readFileSync(join(bundle, 'blobs/sha256', name)));
    }
    const [top] = JSON.parse(readFileSync(join(bundle, 'index.json'), 'utf8')).manifests;
    tags.set('t', { bytes: blobs.get(top.digest) ?? Buffer.alloc(0), type: top.mediaType });
  };
  reset();

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url = '' } = request;
    const { pathname, searchParams } = new URL(url, 'http://registry');
    const body = await bodyOf(request);
    const [, kind, name = ''] =
      /^\/v2\/x\/(manifests|blobs\/uploads|blobs)\/(.*)$/.exec(pathname) ?? [];
    const refuse = (status: number) => void response.writeHead(status).end('{"errors":[]}');
    if (kind === 'blobs/uploads') {
      const id = method === 'POST' ? randomUUID() : name;
      const bytes = Buffer.concat([uploads.get(id) ?? Buffer.alloc(0), body]);
      const digest = searchParams.get('digest');
      if (digest === null) {
        uploads.set(id, bytes);
        const range = `0-${Math.max(0, bytes.length - 1)}`;
        const headers = { location: `/v2/x/blobs/uploads/${id}`, range, 'docker-upload-uuid': id };
        return void response.writeHead(method === 'GET' ? 204 : 202, headers).end();
      }
      uploads.delete(id);
      if (digest !== `sha256:${sha256Of(bytes)}`) return refuse(400);
      blobs.set(digest, bytes);
      return void response.writeHead(201, { location: `/v2/x/blobs/${digest}` }).end();
    }
    if (kind === 'manifests' && method === 'PUT') {
      const type = request.headers['content-type'] ?? '';
      blobs.set(`sha256:${sha256Of(body)}`, body);
      if (!name.startsWith('sha256:')) tags.set(name, { bytes: body, type });
      return void response.writeHead(201, { location: pathname }).end();
    }
    const found = tags.get(name) ?? { bytes: blobs.get(name), type: typeOf(blobs.get(name), kind) };
    if (found.bytes === undefined) return refuse(404);
    response.setHeader('content-type', found.type);
    sendPart(request, response, found.bytes);
  }

  return listening((request, response) => void answer(request, response), {
    reset,
    state: () =>
      new Map([
        ...[...blobs].map(([name, bytes]): [string, string] => [`blob ${name}`, sha256Of(bytes)]),
        ...[...tags].map(([name, { bytes }]): [string, string] => [`tag ${name}`, sha256Of(bytes)]),
      ]),
  });
}

/** The media type that a manifest declares. */
function typeOf(bytes: Buffer | undefined, kind: string | undefined): string {
  if (kind !== 'manifests' || bytes === undefined) return 'application/octet-stream';
  return JSON.parse(bytes.toString()).mediaType ?? 'application/vnd.oci.image.manifest.v1+json';
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk);
  } catch {
    return Buffer.alloc(0); // the sender was killed
  }
  return Buffer.concat(chunks);
}

function sendPart(request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const part = bytes.subarray(start);
  const range = { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
  if (request.headers.range && part.length === 0) {
    return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
  }
  response.writeHead(request.headers.range ? 206 : 200, {
    'content-length': part.length,
    ...(request.headers.range ? range : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : part);
}

async function listening(
  listener: (request: IncomingMessage, response: ServerResponse) => void,
  more: Pick<World, 'state' | 'reset'>,
): Promise<World> {
  const server = createServer(listener);
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    ...more,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}
