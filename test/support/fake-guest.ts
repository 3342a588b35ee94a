import { connect } from 'node:net';
import { argv, exit, stdin, stdout } from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Stands in for QEMU and its guest, in a process of its own: prints a console log, answers each line that is typed
 * as the live system's shells would, and reports the progress of its disks over QMP.
 *
 * `node fake-guest.ts SCENARIO QEMU-ARGUMENTS...`; the scenario is JSON.
 */
export interface Scenario {
  /** Printed at the start, as a boot in progress would. */
  readonly log: string;
  /** Replaces agetty's whole line. */
  readonly ready?: string;
  /** Printed in the middle of each mark. */
  readonly interrupt?: string;
  /** Bytes that each step of unpacking adds to the progress of the disks. */
  readonly step: { readonly written: number; readonly read: number };
  /** Milliseconds between steps. */
  readonly pause: number;
  /** Written bytes after which the disks stop, and after which the installer is done. */
  readonly stops?: number;
  readonly size: number;
  /** The guest keeps printing. */
  readonly chatters?: boolean;
}

const [json = '', ...args] = argv.slice(2);
if (args.includes('--version')) {
  stdout.write('QEMU emulator version 10.0.0\n');
  exit(0);
}
const scenario: Scenario = JSON.parse(json);
const done = { written: 0, read: 0, requests: 0 };

const path = /path=([^,]+)/.exec(args.find((arg) => arg.startsWith('socket,id=qmp')) ?? '')?.[1];
const monitor = connect(path ?? '');
const send = (message: object) => monitor.write(`${JSON.stringify(message)}\n`);
send({ QMP: { version: {}, capabilities: [] } });
monitor.on('data', (data) => {
  for (const line of String(data).trim().split('\n')) {
    const { execute, id } = JSON.parse(line);
    send({ return: execute === 'query-blockstats' ? blockStats() : {}, id });
    if (execute === 'quit') exit(0);
  }
});

function blockStats() {
  const { written, read, requests } = done;
  const stats = { rd_operations: requests, wr_operations: 0, rd_bytes: read, wr_bytes: written };
  return [{ 'node-name': 'rehydrate-metal', stats }];
}

const HELP =
  'Usage: coreos-installer dev extract osmet --osmet <PATH> <REPO> <DEV>\n  --osmet <PATH>\n';

const say = (text: string) => stdout.write(text.replaceAll('\n', '\r\n'));
const mark = (left: string, right: string, rest = '') => {
  const cut = scenario.interrupt ?? '';
  say(`\n${left.slice(0, 7)}${cut}${left.slice(7)}${right}${rest}\n`);
};

async function unpack() {
  while (done.written < scenario.size) {
    await delay(scenario.pause);
    done.requests++;
    done.read += scenario.step.read;
    if (done.written < (scenario.stops ?? scenario.size)) done.written += scenario.step.written;
  }
}

async function answer(line: string) {
  const framed = /printf '\\n%s%s:%s;\\n' ([0-9a-f]+) ([0-9a-f]+)/.exec(line);
  const [first] = line.matchAll(/printf ['"]\\n%s%s\\n['"] ([0-9a-f]+) ([0-9a-f]+)/g);
  const [, left = '', right = ''] = first ?? [];
  if (framed === null) return mark(left, right);
  mark(left, right);
  if (line.includes('--help')) say(HELP);
  if (line.includes('blockdev --flushbufs')) await unpack();
  const [, l = '', r = ''] = framed;
  for (let i = 0; i < 3; i++) mark(l, r, ':0;');
}

if (scenario.chatters)
  setInterval(() => say('[  999.000000] a start job is running\n'), 300).unref();
stdin.setRawMode(true);
say(scenario.log);
await delay(300);
say(scenario.ready ?? 'localhost login: core (automatic login)\n');
let typed = '';
for await (const chunk of stdin) {
  typed += String(chunk);
  for (let end = typed.search(/[\r\n]/); end >= 0; end = typed.search(/[\r\n]/)) {
    const line = typed.slice(0, end);
    typed = typed.slice(end + 1);
    if (line.trim() !== '') await answer(line);
  }
}
