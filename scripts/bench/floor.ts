/**
 * The least that the native engine has to do, and nothing else: `node floor.ts ISO DISK` unpacks every
 * unit of the root image once, on all processors, and hashes the finished disk once. Prints seconds.
 */
import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { batches } from '../../src/engine/native/batches.ts';
import { type PlannedUnit, planUnits } from '../../src/engine/native/plan.ts';
import { openFileReader } from '../../src/engine/native/workers/file-reader.ts';
import { unpackUnits } from '../../src/engine/native/workers/unpack.ts';
import type { Osmet } from '../../src/formats/iso/osmet-types.ts';

if (isMainThread) await main();
else work();

async function main(): Promise<void> {
  const { hashFile } = await import('../../src/core/io/hash-file.ts');
  const { openSource } = await import('../../src/core/io/source.ts');
  const { openLiveIso } = await import('../../src/formats/iso/open.ts');
  const { readOsmet } = await import('../../src/formats/iso/osmet.ts');
  const { openRootFiles } = await import('../../src/formats/rootfs/index.ts');
  const [path = '', disk = ''] = process.argv.slice(2);
  const iso = await openLiveIso(path);
  await using source = await openSource(path);
  const osmets: Osmet[] = [];
  for (const { offset: start, length } of iso.osmets.slice(0, 1)) {
    osmets.push(await readOsmet(source, { start, length }));
  }
  const all = batches(await planUnits(openRootFiles(source, iso.rootImage), osmets, undefined));
  const count = availableParallelism();
  const workers = Array.from({ length: count }, (_, index) =>
    startWorker(
      path,
      all.filter((_batch, at) => at % count === index),
    ),
  );
  await Promise.all(workers.map(({ ready }) => ready));
  const unpacking = performance.now();
  for (const { worker } of workers) worker.postMessage('go');
  await Promise.all(workers.map(({ done }) => done));
  const hashing = performance.now();
  const { sha256 } = await hashFile(disk);
  const end = performance.now();
  const seconds = { unpack: (hashing - unpacking) / 1000, hash: (end - hashing) / 1000 };
  console.log(JSON.stringify({ ...seconds, sha256 }));
}

function startWorker(iso: string, units: PlannedUnit[][]) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { iso, units } });
  const ready = new Promise<void>((resolve) => worker.once('message', () => resolve()));
  const done = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  return { worker, ready, done };
}

function work(): void {
  const { iso, units }: { iso: string; units: PlannedUnit[][] } = workerData;
  const reader = openFileReader(iso);
  parentPort?.once('message', () => {
    for (const batch of units) {
      unpackUnits(
        batch.map((unit) => ({ ...unit, copies: [] })),
        iso,
        reader,
        [],
      );
    }
  });
  parentPort?.postMessage('ready');
}
