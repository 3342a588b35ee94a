/** `node engine-run.ts ISO DISK`: makes one metal disk with the native engine. Prints its report. */
import { createNativeEngine } from '../../src/engine/native/index.ts';
import { openLiveIso } from '../../src/formats/iso/open.ts';

const [path = '', output = ''] = process.argv.slice(2);
const iso = await openLiveIso(path);
const [osmet] = iso.osmets;
if (osmet === undefined) throw new Error('no osmet');
const started = performance.now();
const report = await createNativeEngine().regenerate({ iso, disks: [{ osmet, output }] });
console.log(JSON.stringify({ ...report, total: (performance.now() - started) / 1000 }));
