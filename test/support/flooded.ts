import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createConsole } from '../../src/engine/qemu/console.ts';
import { openTerminals } from '../../src/engine/qemu/process.ts';

/**
 * A separate program, put together like the engine, whose guest is the shell script in its argument. Reports what it
 * has received once a second; ends the guest and itself on SIGTERM.
 */
const [script = ''] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'flooded-'));
let lines = 0;
let bytes = 0;
const serial = createConsole({
  logPath: join(folder, 'console.log'),
  reply: (data) => guest.write(data),
  onLine: () => lines++,
});
const guest = openTerminals().spawn({
  binary: 'sh',
  args: ['-c', script],
  cwd: folder,
  supervision: { stderr: join(folder, 'stderr'), setpriv: false },
  onData: (chunk) => {
    bytes += chunk.length;
    serial.receive(chunk);
  },
});
const timer = setInterval(() => {
  const megabytes = process.memoryUsage.rss() >> 20;
  process.stdout.write(`${JSON.stringify({ bytes, lines, megabytes })}\n`);
}, 1000);
process.on('SIGTERM', () => guest.kill());
const { signal } = await guest.exited;
clearInterval(timer);
serial.close();
rmSync(folder, { recursive: true });
process.stdout.write(`${JSON.stringify({ ended: signal })}\n`);
