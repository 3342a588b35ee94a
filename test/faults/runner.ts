import { readdirSync, readlinkSync } from 'node:fs';
import process from 'node:process';
import { PassThrough } from 'node:stream';
import koffi from 'koffi';
import { type Answers, askAll, urlIn } from './ask.ts';
import { KINDS, type Point, type Run, type RunRequest } from './messages.ts';

/**
 * Runs command lines in this process, each with one fault, because starting a process for each takes too long. Needs
 * the library of faults.c preloaded.
 */
// The build is what users get, and it starts faster: each run starts threads, which would have to strip types first.
const load = (path: string) => import(new URL(`../../dist/src/${path}`, import.meta.url).href);
const { runCommand } = (await load('cli/run.js')) as typeof import('../../src/cli/run.ts');
const { createEngine } = (await load(
  'engine/choose.js',
)) as typeof import('../../src/engine/choose.ts');

const { CancelledError } = (await load(
  'core/errors.js',
)) as typeof import('../../src/core/errors.ts');

const self = koffi.load(null);
const setRoot = self.func('void faults_root(const char *path)');
const arm = self.func('void faults_arm(int kind, int nth, int error, int sticky)');
const count = self.func('int faults_count(int kind)');
const changes = self.func('int faults_changes()');
const hits = self.func('int faults_hits()');
const hit = self.func('const char *faults_hit()');

let escaped: unknown;
process.on('uncaughtException', (error) => {
  escaped ??= error;
});

process.on('message', (request: RunRequest) => {
  void run(request).then((result) => process.send?.(result));
});
process.on('disconnect', () => process.exit());

async function run({ argv, env, root, point, paths }: RunRequest): Promise<Run> {
  Object.assign(process.env, env);
  escaped = undefined;
  const stop = new AbortController();
  let asked: Promise<void> | undefined;
  let answers: Answers = {};
  const stdout = collect((text) => {
    const url = paths && urlIn(text);
    if (url === undefined) return;
    asked ??= askAll(url, paths ?? []).then((all) => {
      answers = all;
      const context = { signal: 'SIGTERM' };
      stop.abort(new CancelledError('stopped', { code: 'CANCELLED', context }));
    });
  });
  const stderr = collect();
  setRoot(root);
  armAt(point);
  const code = await runCommand(argv, {
    stdout: stdout.stream,
    stderr: stderr.stream,
    env: { ...process.env, ...env },
    pid: process.pid,
    hostArch: process.arch,
    versions: process.versions,
    isTerminal: false,
    columns: () => 80,
    signal: stop.signal,
    createEngine,
  });
  await asked;
  // Rejections that nothing awaits surface now.
  await new Promise((resolve) => setTimeout(resolve, 5));
  const result: Run = {
    code: escaped === undefined ? code : 1,
    stdout: stdout.text(),
    stderr: stderr.text() + (escaped === undefined ? '' : `escaped: ${textOf(escaped)}`),
    counts: Object.fromEntries(KINDS.map((kind, index) => [kind, Number(count(index))])),
    steps: Number(count(-1)),
    changes: Number(changes()),
    hits: Number(hits()),
    hit: String(hit()),
    answers,
    open: [],
  };
  arm(-1, 0, 0, 0);
  return { ...result, open: openBelow(root) };
}

function armAt(point: Point | undefined): void {
  if (point === undefined) arm(-1, 0, 0, 0);
  else arm(KINDS.indexOf(point.kind), point.nth, point.errno, point.sticky ? 1 : 0);
}

const textOf = (error: unknown) => (error instanceof Error ? error.stack : String(error));

/** Files below a folder that are still open: each is a leak. */
function openBelow(root: string): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(root) ? [path] : [];
    } catch {
      return []; // the descriptor of this listing
    }
  });
}

function collect(onText: (all: string) => void = () => {}) {
  const stream = new PassThrough();
  const chunks: Buffer[] = [];
  const text = () => Buffer.concat(chunks).toString('latin1');
  stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    onText(text());
  });
  return { stream, text };
}
