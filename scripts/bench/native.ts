import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import * as v from 'valibot';
import { openLiveIso } from '../../src/formats/iso/open.ts';
import { best, measure, script, shell } from './measure.ts';
import { mebibytes, seconds, table } from './table.ts';

const Floor = v.object({ unpack: v.number(), hash: v.number(), sha256: v.string() });
const Run = v.object({ total: v.number(), digests: v.object({ metal: v.string() }) });

/**
 * One metal disk without a VM: the native engine, the real coreos-installer (loop device and mounted
 * squashfs, so root only; left out without a binary), and the floor. Returns a table.
 */
export async function nativeTable(
  iso: string,
  work: string,
  installer: string | undefined,
): Promise<string> {
  const disk = join(work, 'native.raw');
  const live = await openLiveIso(iso);
  const expected = live.osmets[0]?.checksum;
  const ours = await best(async () => {
    await rm(disk, { force: true });
    const run = await measure([process.execPath, script('engine-run.ts'), iso, disk]);
    const { total, digests } = v.parse(Run, JSON.parse(run.stdout));
    if (digests.metal !== expected) throw new Error('native: wrong SHA-256');
    return { seconds: total, peakRss: run.peakRss };
  });
  const floor = await best(async () => {
    const run = await measure([process.execPath, script('floor.ts'), iso, disk]);
    const { unpack, hash, sha256 } = v.parse(Floor, JSON.parse(run.stdout));
    if (sha256 !== expected) throw new Error('floor: wrong SHA-256');
    return { seconds: unpack + hash, peakRss: 0 };
  });
  const rows = [
    ['native engine', seconds(ours.seconds), times(ours, floor), mebibytes(ours.peakRss)],
    ['floor: unpack once on all cores + hash once', seconds(floor.seconds), '1.00', ''],
  ];
  if (installer !== undefined) {
    const theirs = await withInstaller(iso, work, installer);
    rows.push([
      'coreos-installer dev extract osmet',
      seconds(theirs.seconds),
      times(theirs, floor),
      mebibytes(theirs.peakRss),
    ]);
  }
  await rm(disk, { force: true });
  return table(['one metal disk', 'time', 'times the floor', 'peak RSS'], rows);
}

const times = (one: { seconds: number }, floor: { seconds: number }) =>
  (one.seconds / floor.seconds).toFixed(2);

async function withInstaller(iso: string, work: string, installer: string) {
  const live = await openLiveIso(iso);
  const [osmet] = live.osmets;
  if (osmet === undefined) throw new Error('no osmet');
  const file = join(work, 'metal.osmet');
  const disk = join(work, 'installer.raw');
  const mount = join(work, 'root');
  const cut = 'tail -c +"$1" "$2" | head -c "$3" > "$4"; mkdir -p "$5"; truncate -s "$6" "$7"';
  const { offset, length } = live.rootImage;
  await execa('sh', [
    ...['-c', cut, 'sh', String(osmet.offset + 1), iso, String(osmet.length), file],
    ...[mount, String(osmet.diskSize), disk],
  ]);
  const squashfs = await loop(iso, ['--read-only', `--offset=${offset}`, `--sizelimit=${length}`]);
  try {
    await execa('mount', ['-o', 'ro', squashfs, mount]);
    const device = await loop(disk, []);
    try {
      const command = 'exec "$1" dev extract osmet --osmet "$2" "$3" "$4"';
      return await best(() =>
        measure(shell(command, installer, file, join(mount, 'ostree/repo'), device)),
      );
    } finally {
      await execa('losetup', ['--detach', device]);
    }
  } finally {
    await execa('umount', [mount], { reject: false });
    await execa('losetup', ['--detach', squashfs]);
    await rm(disk, { force: true });
  }
}

async function loop(file: string, args: readonly string[]): Promise<string> {
  return (await execa('losetup', ['--find', '--show', ...args, file])).stdout;
}
