import { resolve } from 'node:path';
import { IntegrityError, UsageError } from '../../core/errors.ts';
import type { Sha256 } from '../../core/io/digest.ts';
import { openSource } from '../../core/io/source.ts';
import { silent } from '../../core/progress/progress.ts';
import { osmetOf } from '../../formats/iso/rootfs.ts';
import { openRootFiles } from '../../formats/rootfs/index.ts';
import type { EngineReport, MetalDisk, MetalEngine, RegenerateRequest } from '../engine.ts';
import { createOutputs } from '../outputs.ts';
import { createPhases } from '../phases.ts';
import { planUnits } from './plan.ts';
import { writeDisks } from './write-disks.ts';

export interface NativeEngineOptions {
  /** Threads that unpack the root image; one per processor by default. */
  readonly threads?: number | undefined;
}

/**
 * The engine without a virtual machine: reads the osmets and the root image in place in the ISO and
 * assembles the disks. Needs no other program. Errors: {@link FormatError} (which part of the ISO is
 * damaged), {@link UnsupportedError} (a layout that only the ISO's own programs understand), {@link
 * IntegrityError} `OSMET_DIGEST`, {@link IoError}, {@link CancelledError}. Outputs exist only after
 * success.
 */
export function createNativeEngine(options: NativeEngineOptions = {}): MetalEngine {
  return { name: 'native', regenerate: (request) => regenerate(options, request) };
}

async function regenerate(
  { threads }: NativeEngineOptions,
  { iso, signal, progress = silent, ...request }: RegenerateRequest,
): Promise<EngineReport> {
  const started = performance.now();
  const subject = `${iso.arch} native`;
  const phases = createPhases(subject, progress, 'read');
  const disks = request.disks.map((disk) => ({ ...disk, output: resolve(disk.output) }));
  if (disks.length === 0) throw new UsageError('no disk to regenerate', { code: 'NO_DISKS' });
  phases.enter('read');
  await using source = await openSource(iso.path, signal);
  const osmets = await Promise.all(disks.map(({ osmet }) => osmetOf(source, osmet, signal)));
  await using outputs = await createOutputs(disks);
  const diskBytes = disks.reduce((sum, { osmet }) => sum + osmet.diskSize, 0);
  let written = false;
  let image = '';
  const digests = await writeDisks({
    iso: resolve(iso.path),
    disks,
    osmets,
    threads,
    signal,
    async plan() {
      const root = openRootFiles(source, iso.rootImage);
      image = root.description;
      const units = await planUnits(root, osmets, signal);
      phases.enter('unpack');
      return units;
    },
    onUnpacked: (done, total) => phases.advance(done, total),
    onWritten() {
      written = true;
      phases.enter('hash', diskBytes);
    },
    onHashed(done) {
      if (written) phases.advance(done, diskBytes);
    },
  });
  checkDigests(disks, digests, iso.path);
  await outputs.sync();
  outputs.keep();
  const seconds = phases.finish();
  progress({ type: 'done', subject, seconds: (performance.now() - started) / 1000 });
  return {
    engine: 'native',
    detail: `native (${image})`,
    seconds,
    digests: Object.fromEntries(disks.map(({ osmet }, disk) => [osmet.variant, digests[disk]])),
  };
}

function checkDigests(disks: readonly MetalDisk[], digests: readonly Sha256[], iso: string): void {
  for (const [index, { osmet }] of disks.entries()) {
    const found = digests[index];
    if (found === osmet.checksum) continue;
    throw new IntegrityError(
      `the ${osmet.variant} disk does not have the SHA-256 that ${osmet.name} promises`,
      {
        code: 'OSMET_DIGEST',
        context: { osmet: osmet.name, expected: osmet.checksum, found, iso },
        hint: 'check the SHA-256 of the ISO; if it is right, try the qemu engine and report this',
      },
    );
  }
}
