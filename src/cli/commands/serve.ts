import { join } from 'node:path';
import { type Command, Option } from '@commander-js/extra-typings';
import { openBundle } from '../../bundle/read.ts';
import { throwIfAborted } from '../../core/errors.ts';
import { printable } from '../../core/text/printable.ts';
import { parseListen, type RequestLine, serve } from '../../verbs/serve/serve.ts';
import { bundleOf, cacheFolder, cacheFor, engineFor } from '../environment.ts';
import type { CliIo } from '../io.ts';
import {
  type OptionsOf,
  type OutputOptions,
  withBundle,
  withEngine,
  withIso,
  withOutput,
} from '../option-groups.ts';
import { parseSize } from '../options.ts';
import { progressRenderer } from '../progress/choose.ts';
import { renderError } from '../render-error.ts';

function define(program: Command) {
  const command = program
    .command('serve')
    .description('serve the files of the release over HTTP, and make each on first request')
    .option('--listen <address>', 'port, or host:port', '127.0.0.1:8080')
    .option('--public-url <url>', 'URL for clients (default: from the Host header of each request)')
    .option('--images <dir>', 'where to keep images (default: in the cache folder)')
    .addOption(
      new Option('--images-size <size>', 'how much disk space the images may use')
        .argParser(parseSize)
        .default(100 * 2 ** 30, '100GiB'),
    )
    .addOption(
      new Option('--reserve <size>', 'how much disk space to leave free')
        .argParser(parseSize)
        .default(2 ** 30, '1GiB'),
    )
    .addHelpText('after', HELP);
  return withOutput(withEngine(withIso(withBundle(command))));
}

type ServeCliOptions = OptionsOf<typeof define>;

export function addServe(program: Command, io: CliIo): void {
  define(program).action((options) => run(options, io));
}

const HELP = `
Paths follow the locations in the stream, with the names of the uncompressed files. Point
installers at /stream.json or /streams/NAME.json, the stream with locations on this server. An
image is sent once it is made and verified, and kept for later requests; range requests work.
While disk space is short, the server answers 503 with Retry-After. There is no TLS and no access
control: put a proxy in front unless only this host connects.

Examples:
  iso-rehydrate serve --bundle /srv/bundle
  iso-rehydrate serve -b /srv/bundle --engine native --listen 0.0.0.0:8080 \\
    --public-url http://mirror.example.com:8080
  curl -s http://127.0.0.1:8080/stream.json | jq -r '.architectures[].artifacts.qemu'
  coreos-installer download --stream-base-url http://127.0.0.1:8080/streams/ -s stable -p qemu`;

async function run(options: ServeCliOptions, io: CliIo): Promise<void> {
  const { host, port } = parseListen(options.listen);
  const bundle = await openBundle(bundleOf(options, io), io.signal);
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

/** One line for each request, and more for one that failed. */
function log({ error, ...line }: RequestLine, { json, quiet, debug }: OutputOptions, io: CliIo) {
  if (json) {
    io.stdout.write(`${JSON.stringify({ type: 'request', ...line })}\n`);
  } else if (!quiet) {
    const { status, method, path, bytes, seconds } = line;
    io.stdout.write(printable(`${status} ${method} ${path} ${bytes} B ${seconds.toFixed(1)} s\n`));
  }
  if (error === undefined || io.signal.aborted || isLeaving(error)) return;
  io.stderr.write(renderError(error, { debug: debug === true }));
}

/** A client that hangs up is not worth a line. */
const isLeaving = (error: unknown) =>
  error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE';
