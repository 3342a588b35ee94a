import { join } from 'node:path';
import { type Command, Option } from '@commander-js/extra-typings';
import type { Recipes } from '../../bundle/recipes.ts';
import { throwIfAborted } from '../../core/errors.ts';
import { printableLine } from '../../core/text/printable.ts';
import { neededBlobs } from '../../verbs/isos/needed.ts';
import { wantedIsos } from '../../verbs/isos/resolve.ts';
import { parseListen } from '../../verbs/serve/listen.ts';
import { type RequestLine, serve } from '../../verbs/serve/serve.ts';
import { containersOf } from '../containers.ts';
import { cacheFolder, cacheFor, engineFor } from '../environment.ts';
import type { CliIo } from '../io.ts';
import {
  type OptionsOf,
  type OutputOptions,
  withBundle,
  withCache,
  withContainers,
  withEngine,
  withIso,
  withOutput,
  withTrust,
} from '../option-groups.ts';
import { parseSize } from '../options.ts';
import { progressRenderer } from '../progress/choose.ts';
import { renderError } from '../render-error.ts';
import { downloadsTo, isosOf, openSourced } from '../sources.ts';

function define(program: Command) {
  const command = program
    .command('serve')
    .description('serve the files of the release over HTTP, making each on first request')
    .option('--listen <address>', 'port, or host:port', '127.0.0.1:8080')
    .option('--public-url <url>', 'URL at which clients reach it (default: from their Host header)')
    .option('--images <dir>', 'folder for finished images (default: in the cache folder)')
    .addOption(
      new Option('--images-size <size>', 'maximum size of that folder')
        .argParser(parseSize)
        .default(100 * 2 ** 30, '100GiB'),
    )
    .addOption(
      new Option('--reserve <size>', 'space to keep free on its disk')
        .argParser(parseSize)
        .default(2 ** 30, '1GiB'),
    )
    .addHelpText('after', HELP);
  return withOutput(withCache(withEngine(withTrust(withContainers(withIso(withBundle(command)))))));
}

type ServeCliOptions = OptionsOf<typeof define>;

export function addServe(program: Command, io: CliIo): void {
  define(program).action((options) => run(options, io));
}

const HELP = `
Paths are those of the release's locations, with the names of the uncompressed files.
/stream.json and /streams/NAME.json are the stream JSON with this server's locations, for
installers. An image is sent once it is made and proved, and kept for the next request; range
requests work. While disk space is short, the answer is 503 with Retry-After. There is no TLS and
no access control: put a proxy in front of it if other hosts are to reach it.

Examples:
  iso-rehydrate serve --bundle /srv/bundle
  iso-rehydrate serve -b /srv/bundle --engine native --listen 0.0.0.0:8080 \\
    --public-url http://mirror.example.com:8080
  curl -s http://127.0.0.1:8080/stream.json | jq -r '.architectures[].artifacts.qemu'
  coreos-installer download --stream-base-url http://127.0.0.1:8080/streams/ -s stable -p qemu`;

async function run(options: ServeCliOptions, io: CliIo): Promise<void> {
  const { host, port } = parseListen(options.listen);
  const folder = options.images ?? join(cacheFolder(io.env), 'images');
  await using cache = await cacheFor(options, io);
  await using downloads = downloadsTo(cache);
  using progress = progressRenderer(options, io);
  const source = await openSourced(options, io, downloads, progress.report);
  const { bundle } = source;
  const wanted = () => wantedIsos({ bundle, everything: true });
  const isoPaths = await isosOf(options, io, downloads, wanted, progress.report);
  await source.fetch(await neededBlobs(bundle.recipes.map(whole), { isoPaths }));
  const { url, files, ended } = await serve({
    bundle,
    host,
    port,
    publicUrl: options.publicUrl,
    engine: engineFor(options, io),
    cache,
    folder,
    maxBytes: options.imagesSize,
    reserve: options.reserve,
    isoPaths,
    containers: containersOf(options, io),
    signal: io.signal,
    progress: progress.report,
    onError: (error) =>
      progress.aside(() => {
        io.stderr.write(renderError(error, { debug: options.debug === true }));
      }),
    onRequest: (line) =>
      progress.aside(() => {
        log(line, options, io);
      }),
  });
  io.stdout.write(
    options.json
      ? `${JSON.stringify({ type: 'serving', url, files })}\n`
      : `serving ${files} files and ${url}/stream.json\n`,
  );
  await ended;
  throwIfAborted(io.signal);
}

/** All that an architecture of the bundle has. */
const whole = (recipes: Recipes) => ({ recipes, artifacts: recipes.artifacts });

/** One line for each request, and the error's lines after one that failed. */
function log({ error, ...line }: RequestLine, { json, quiet, debug }: OutputOptions, io: CliIo) {
  if (json) {
    io.stdout.write(`${JSON.stringify({ type: 'request', ...line })}\n`);
  } else if (!quiet) {
    const { status, method, path, bytes, seconds } = line;
    io.stdout.write(
      `${printableLine(`${status} ${method} ${path} ${bytes} B ${seconds.toFixed(1)} s`)}\n`,
    );
  }
  if (error === undefined || io.signal.aborted) return;
  io.stderr.write(renderError(error, { debug: debug === true }));
}
