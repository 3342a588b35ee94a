import { join } from 'node:path';
import { type Command, Option } from '@commander-js/extra-typings';
import type { Recipes } from '../../bundle/recipes.ts';
import { throwIfAborted } from '../../core/errors.ts';
import { printableLine } from '../../core/text/printable.ts';
import { neededBlobs } from '../../verbs/isos/needed.ts';
import { wantedIsos } from '../../verbs/isos/resolve.ts';
import { commonLog, type RequestLine } from '../../verbs/serve/access-log.ts';
import { inheritedSocket, parseListen } from '../../verbs/serve/listen.ts';
import { serve } from '../../verbs/serve/serve.ts';
import { containersOf } from '../containers.ts';
import { cacheFolder, cacheFor, engineFor } from '../environment.ts';
import type { CliIo } from '../io.ts';
import { keysOf } from '../keyring.ts';
import {
  type OptionsOf,
  type OutputOptions,
  withBundle,
  withCache,
  withContainers,
  withEngine,
  withIso,
  withKeyring,
  withOutput,
  withPolicy,
  withTrust,
} from '../option-groups.ts';
import { parsePlatforms, parseSeconds, parseSize } from '../options.ts';
import { progressRenderer } from '../progress/choose.ts';
import { renderError } from '../render-error.ts';
import { downloadsTo, isosOf, openSourced } from '../sources.ts';

function define(program: Command) {
  const command = program
    .command('serve')
    .description('serve the files of the release over HTTP, making each on first request')
    .option('--listen <address>', 'port, or host:port (default: 127.0.0.1:8080)')
    .option('--public-url <url>', 'URL at which clients reach it (default: from their Host header)')
    .option(
      '--prepare <names>',
      'make the files of these platforms at once, before they are requested, or of `all`',
      parsePlatforms,
    )
    .addOption(
      new Option(
        '--wait <seconds>',
        'answer 503 to a request that waits longer for its file to be made (default: no limit)',
      ).argParser(parseSeconds),
    )
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
  const signed = withPolicy(withTrust(withKeyring(withContainers(withIso(withBundle(command))))));
  return withOutput(withCache(withEngine(signed)));
}

type ServeCliOptions = OptionsOf<typeof define>;

export function addServe(program: Command, io: CliIo): void {
  define(program).action((options) => run(options, io));
}

const HELP = `
Paths are those of the release's locations, with its own file names, as far as the bundle can make
the released files (see \`dehydrate --released\`); the names of their contents are beside them. The
bundle's signatures are at the same paths with .sig. /stream.json and /streams/NAME.json are the
stream JSON with this server's locations, for installers. / is a page for people, /healthz and
/metrics (Prometheus) are for monitoring. Each request is a line on stdout, in the common log format.
A file is sent once it is made and proved, and kept for the next request; range requests work. While
disk space is short, the answer is 503 with Retry-After; so it is after --wait. A socket that systemd
passes is used instead of --listen. There is no TLS and no access control: put a proxy in front of it
if other hosts are to reach it.

Examples:
  iso-rehydrate serve --bundle /srv/bundle
  iso-rehydrate serve -b /srv/bundle --engine native --listen 0.0.0.0:8080 \\
    --public-url http://mirror.example.com:8080
  curl -s http://127.0.0.1:8080/stream.json | jq -r '.architectures[].artifacts.qemu'
  coreos-installer download --stream-base-url http://127.0.0.1:8080/streams/ -s stable -p qemu \\
    -f qcow2.xz`;

async function run(options: ServeCliOptions, io: CliIo): Promise<void> {
  const socket = options.listen === undefined ? inheritedSocket(io.env, io.pid) : undefined;
  const at = socket ?? parseListen(options.listen ?? '127.0.0.1:8080');
  const keyring = await keysOf(options, io.signal);
  const folder = options.images ?? join(cacheFolder(io.env), 'images');
  await using cache = await cacheFor(options, io);
  await using downloads = downloadsTo(cache);
  using progress = progressRenderer(options, io);
  const source = await openSourced(options, io, downloads, progress.report);
  const { bundle } = source;
  const wanted = () => wantedIsos({ bundle, everything: true });
  const isoPaths = await isosOf(options, io, downloads, wanted, progress.report);
  const containers = containersOf(options, io);
  const spare = { selection: { platforms: ['all'] }, containers };
  await source.obtain(await neededBlobs(bundle.recipes.map(whole), { isoPaths, spare }));
  const { url, files, ended } = await serve({
    bundle,
    listen: at,
    prepare: options.prepare,
    wait: options.wait,
    keyring,
    publicUrl: options.publicUrl,
    engine: engineFor(options, io),
    cache,
    folder,
    maxBytes: options.imagesSize,
    reserve: options.reserve,
    isoPaths,
    containers,
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

/** One line per request, and the error's lines after a failed one. */
function log({ error, ...line }: RequestLine, { json, quiet, debug }: OutputOptions, io: CliIo) {
  if (json) {
    io.stdout.write(`${JSON.stringify({ type: 'request', ...line })}\n`);
  } else if (!quiet) {
    io.stdout.write(`${printableLine(commonLog(line))}\n`);
  }
  if (error === undefined || io.signal.aborted) return;
  io.stderr.write(renderError(error, { debug: debug === true }));
}
