import { rm } from 'node:fs/promises';
import type { MetalVariant } from '../../images/platforms.ts';
import { IntegrityError } from '../core/errors.ts';
import type { Sha256 } from '../core/io/digest.ts';
import { hashFile } from '../core/io/hash-file.ts';
import { silent } from '../core/progress/progress.ts';
import type { EngineReport, MetalDisk, MetalEngine, RegenerateRequest } from './engine.ts';

/**
 * Regenerates each disk twice, by two independent engines: the quick one first, then the reference, whose
 * disks are kept. Throws IntegrityError `ENGINES_DIFFER` if they differ, and whatever either engine throws.
 */
export function createBothEngine(reference: MetalEngine, quick: MetalEngine): MetalEngine {
  return { name: 'both', regenerate: (request) => regenerate(reference, quick, request) };
}

async function regenerate(
  reference: MetalEngine,
  quick: MetalEngine,
  request: RegenerateRequest,
): Promise<EngineReport> {
  const { disks } = request;
  const first = await runQuick(quick, request);
  const second = await reference.regenerate(request);
  try {
    for (const disk of disks) {
      const found = await digestOf(disk, second, request);
      const other = first.digests[disk.osmet.variant];
      if (found !== other) throw differ(disk, { [reference.name]: found, [quick.name]: other });
    }
  } catch (error) {
    await Promise.all(disks.map(({ output }) => rm(output, { force: true })));
    throw error;
  }
  return {
    engine: 'both',
    detail: `${second.detail} and ${first.report.detail}, with the same result`,
    seconds: { ...second.seconds, [quick.name]: first.seconds },
    ...(second.guestCpu === undefined ? {} : { guestCpu: second.guestCpu }),
    // No digests, so that the disk is read once more: that read also punches the holes that a VM does not.
  };
}

/** Hashes and removes its disks before the other engine needs the space. */
async function runQuick(engine: MetalEngine, request: RegenerateRequest) {
  const started = performance.now();
  const disks = request.disks.map((disk) => ({ ...disk, output: `${disk.output}.${engine.name}` }));
  const report = await engine.regenerate({ ...request, disks });
  const digests: Partial<Record<MetalVariant, Sha256>> = {};
  try {
    for (const disk of disks) digests[disk.osmet.variant] = await digestOf(disk, report, request);
  } finally {
    await Promise.all(disks.map(({ output }) => rm(output, { force: true })));
  }
  return { report, digests, seconds: Math.round(performance.now() - started) / 1000 };
}

async function digestOf(
  { osmet, output }: MetalDisk,
  { digests }: EngineReport,
  { signal, progress = silent }: RegenerateRequest,
): Promise<Sha256> {
  const known = digests?.[osmet.variant];
  if (known !== undefined) return known;
  const subject = osmet.variant;
  progress({ type: 'phase', subject, phase: 'hash', total: osmet.diskSize });
  const onBytes = (done: number) =>
    progress({ type: 'advance', subject, phase: 'hash', done, total: osmet.diskSize });
  return (await hashFile(output, { signal, onBytes })).sha256;
}

function differ({ osmet }: MetalDisk, found: Record<string, string | undefined>): IntegrityError {
  const said = Object.entries(found).map(([engine, sha256]) => `${engine}: ${sha256}`);
  return new IntegrityError(
    `the engines make different ${osmet.variant} disks (${said.join(', ')})`,
    {
      code: 'ENGINES_DIFFER',
      context: { osmet: osmet.name, expected: osmet.checksum, ...found },
      hint: 'report this; until then, use the engine whose disk has the expected SHA-256',
    },
  );
}
