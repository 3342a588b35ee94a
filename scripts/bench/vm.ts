import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Arch } from '../../src/core/arch.ts';
import { hashFile } from '../../src/core/io/hash-file.ts';
import { createQemuEngine } from '../../src/engine/qemu/index.ts';
import { openLiveIso } from '../../src/formats/iso/open.ts';
import { seconds, table } from './table.ts';

/**
 * Makes one metal disk of each ISO in a VM, one after the other. `installer` is coreos-installer's own processor
 * time in the guest (xz, SHA-256): no setting of the VM goes below it. Returns a table.
 */
export async function vmTable(isos: ReadonlyMap<Arch, string>, work: string): Promise<string> {
  const rows: string[][] = [];
  for (const [arch, iso] of isos) rows.push([arch, ...(await boot(iso, work))]);
  const phases = ['boot', 'login', 'unpack', 'poweroff'];
  return table(
    ['architecture', ...phases, 'guest CPU: installer', 'guest CPU: kernel', 'by'],
    rows,
  );
}

async function boot(path: string, work: string): Promise<string[]> {
  const iso = await openLiveIso(path);
  const osmet = iso.osmets.find(({ variant }) => variant === 'metal');
  if (osmet === undefined) throw new Error(`${path} has no osmet of the metal disk`);
  const output = join(work, `${iso.arch}.raw`);
  const engine = createQemuEngine({ accel: 'auto', logDir: work });
  const report = await engine.regenerate({ iso, disks: [{ osmet, output }] });
  if ((await hashFile(output)).sha256 !== osmet.checksum) throw new Error(`${path}: wrong SHA-256`);
  await rm(output);
  const { boot: booting, login, unpack, poweroff } = report.seconds;
  const { user, system } = report.guestCpu?.metal ?? {};
  return [...[booting, login, unpack, poweroff, user, system].map(seconds), report.detail];
}
