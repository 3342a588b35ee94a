import { join } from 'node:path';
import type { Command } from 'commander';
import { openBundle } from '../../bundle/read.ts';
import { throwIfAborted } from '../../core/errors.ts';
import { printable } from '../../core/text/printable.ts';
import { parseListen, type RequestLine, serve } from '../../verbs/serve/serve.ts';
import { bundleOf, cacheFolder, cacheFor, engineFor } from '../environment.ts';
import type { CliIo } from '../io.ts';
import { addEngineOptions, collect, type EngineOptions, parseSize } from '../options.ts';
import { progressRenderer } from '../progress/choose.ts';
import { renderError } from '../render-error.ts';

interface ServeCliOptions extends EngineOptions {
  readonly bundle?: string;
  readonly iso?: string[];
  readonly listen: string;
  readonly publicUrl?: string;
  readonly images?: string;
  readonly imagesSize: number;
  readonly reserve: number;
}

export function addServe(program: Command, io: CliIo): void {
  const command = program
    .command('serve')
    .description('serve the release’s files by HTTP, making each when first asked for')
    .option('-b, --bundle <dir>', 'bundle (default: $ISO_REHYDRATE_BUNDLE, else ./bundle)')
    .option('--iso <file>', 'use this copy of the ISO, not the bundle’s (repeat per arch)', collect)
    .option('--listen <address>', 'port, or host:port', '127.0.0.1:8080')
    .option('--public-url <url>', 'how clients reach it (default: the Host that they say)')
    .option('--images <dir>', 'where made images are kept (default: in the cache folder)')
    .option('--images-size <size>', 'how much of them is kept', parseSize, 100 * 2 ** 30)
    .option('--reserve <size>', 'what has to stay free on the disk', parseSize, 2 ** 30)
    .addHelpText('after', HELP);
  const defaults: Readonly<Record<string, string>> = {
    '--images-size': '100GiB',
    '--reserve': '1GiB',
  };
  for (const option of command.options) {
    const text = defaults[option.long ?? ''];
    if (text !== undefined) option.default(option.defaultValue, text);
  }
  addEngineOptions(command).action((options: ServeCliOptions) => run(options, io));
}

const HELP = `
Paths are those of the release's locations, with the names of the uncompressed files;
/stream.json and /streams/NAME.json are the stream with locations here, for installers to be
pointed at. An image is sent once it is made and proved, and kept for the next request;
ranges work. While the disk is short, the answer is 503 with Retry-After. There is no TLS and no
access control: put a proxy in front of what is not for this host alone.

Examples:
  iso-rehydrate serve --bundle /srv/bundle
  iso-rehydrate serve -b /srv/bundle --engine native --listen 0.0.0.0:8080 \\
    --public-url http://mirror.example.com:8080
  curl -s http://127.0.0.1:8080/stream.json | jq -r '.architectures[].artifacts.qemu'
  coreos-installer download --stream-base-url http://127.0.0.1:8080/streams/ -s stable -p qemu`;

async function run(options: ServeCliOptions, io: CliIo): Promise<void> {
  const { host, port } = parseListen(options.listen);
  const bundle = await openBundle(bundleOf(options, io));
  const folder = options.images ?? join(cacheFolder(io.env), 'images');
  await using cache = await cacheFor(options, io);
  using progress = progressRenderer(options, io);
  const { url, ended } = await serve({
    bundle,
    host,
    port,
    publicUrl: options.publicUrl,
    engine: engineFor(options, io),
    cache,
    folder,
    maxBytes: options.imagesSize,
    reserve: options.reserve,
    isoPaths: options.iso,
    signal: io.signal,
    progress: progress.report,
    onRequest: (line) =>
      progress.aside(() => {
        log(line, options, io);
      }),
  });
  const files = bundle.recipes.reduce((sum, { artifacts }) => sum + artifacts.length, 0);
  io.stdout.write(
    options.json
      ? `${JSON.stringify({ type: 'serving', url, files })}\n`
      : `serving ${files} files and ${url}/stream.json\n`,
  );
  await ended;
  throwIfAborted(io.signal);
}

/** One line for a request, and an error's own for one that failed. */
function log({ error, ...line }: RequestLine, { json, quiet, debug }: ServeCliOptions, io: CliIo) {
  if (json) {
    io.stdout.write(`${JSON.stringify({ type: 'request', ...line })}\n`);
  } else if (!quiet) {
    const { status, method, path, bytes, seconds } = line;
    io.stdout.write(printable(`${status} ${method} ${path} ${bytes} B ${seconds.toFixed(1)} s\n`));
  }
  if (error === undefined || io.signal.aborted || isLeaving(error)) return;
  io.stderr.write(renderError(error, { debug: debug === true }));
}

/** A client that hangs up is nothing to tell of. */
const isLeaving = (error: unknown) =>
  error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE';
