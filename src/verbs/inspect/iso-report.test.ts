import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { survive } from '../../../test/golden/mutate.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import { inspectIsoSource } from './iso-report.ts';
import { renderIsoReport } from './render-iso-report.ts';

const inspect = (bytes: Uint8Array) => inspectIsoSource(memorySource(bytes, 'live.iso'));

describe('a complete ISO', () => {
  test('report', async () => {
    const report = await inspect(golden('iso/live.iso'));
    expect(report).toMatchObject({
      volumeId: 'golden-1.2.3',
      description: 'Golden CoreOS 1.2.3',
      arch: 'x86_64',
      archSource: 'osmet',
      ignition: { path: 'images/ignition.img', length: 262144, empty: true },
      features: ['installer-config', 'installer-config-directives.offline'],
      miniso: false,
      rootImage: {
        path: 'root.squashfs',
        filesystem: { kind: 'squashfs', compression: 'zstd', blockSize: 131072 },
      },
      lacks: [],
    });
    expect(report.files.map(({ role }) => role)).toEqual(['kernel', 'initrd', 'rootfs']);
    expect(report.osmets[0]?.mappedShare).toBeCloseTo(286720 / (16 << 20));
    expect(JSON.parse(JSON.stringify(report))).toMatchObject({ arch: 'x86_64' });
  });

  test('text', async () => {
    const text = renderIsoReport(await inspect(golden('iso/live.iso')));
    expect(text).toMatch(/^Architecture +x86_64$/m);
    expect(text).toMatch(/^System +Golden CoreOS 1\.2\.3$/m);
    expect(text).toMatch(/^Makes +metal, metal4k$/m);
    expect(text).toMatch(/metal4k: disk of 16\.0 MiB, 4096-byte sectors, 1\.7 % mapped/);
    expect(text).toContain('root.squashfs, 4,096 B at 346236, squashfs, zstd');
    expect(text).not.toMatch(/Lacks|undefined|NaN/);
  });

  test('an embedded Ignition config and changed arguments are seen', async () => {
    const bytes = golden('iso/live.iso');
    const { ignition, kargs } = await inspect(bytes);
    bytes.write('070701', ignition?.offset ?? 0);
    const area = kargs?.areas[0];
    bytes.write(`${kargs?.kargs} quiet\n`, area?.offset ?? 0);
    const text = renderIsoReport(await inspect(bytes));
    expect(text).toContain('holds a config: this ISO was customized');
    expect(text).toContain('customized; the release has: mitigations=auto');
  });
});

/** What coreos-installer's INDEX says of each ISO: one entry a line, as it is continued. */
const INDEX: [name: string, said: string[]][] = readFileSync(
  new URL('../../../test/golden/iso/INDEX', import.meta.url),
  'utf8',
)
  .split(/\n\n/)
  .slice(1)
  .map((entry) => {
    const [file = '', ...lines] = entry
      .trimEnd()
      .replace(/\n {5,}/g, ' ')
      .split('\n');
    return [file.replace('.iso.xz', ''), lines.map((line) => line.trim())];
  });

describe("trimmed real ISOs: all that coreos-installer's INDEX says, and what they lack", () => {
  test('the INDEX has all of them', () => {
    const names = readdirSync(new URL('../../../test/golden/iso', import.meta.url));
    const isos = names.filter((name) => name.startsWith('embed-areas'));
    expect(INDEX.map(([name]) => `${name}.iso.zst`).sort()).toEqual(isos.sort());
    expect(isos).toHaveLength(10);
  });

  test.each(INDEX)('%s', async (name, said) => {
    const bytes = golden(`iso/${name}.iso`);
    const { lacks, kargs, ...report } = await inspect(bytes);
    const arch = name.endsWith('.s390x') ? 's390x' : 'x86_64';
    const kernel = arch === 's390x' ? 'kernel.img' : 'vmlinuz';
    expect(report.arch).toBe(arch);
    expect(report.files.map(({ role, path }) => [role, path])).toEqual([
      ['kernel', `images/pxeboot/${kernel}`],
      ['initrd', 'images/pxeboot/initrd.img'],
      ['rootfs', 'images/pxeboot/rootfs.img'],
    ]);
    expect(kargs?.kargs).toContain(`coreos.liveiso=${report.volumeId}`);
    expect(report.miniso).toBe(said.includes('miniso.dat version 1'));
    const features = said
      .find((line) => line.startsWith('features.json: '))
      ?.slice(15)
      .split(/, +/);
    expect(new Set(report.features.map((feature) => feature.split('.')[0]))).toEqual(
      new Set(features),
    );
    const directives = said.includes('installer-config-directives from 0.16.0');
    expect(report.features.includes('installer-config-directives.offline')).toBe(directives);

    // Where the embed areas are, by what the INDEX names.
    const file = said.some((line) => line.includes('cdboot.img')) ? 'cdboot.img' : 'ignition.img';
    expect(report.ignition).toMatchObject({ path: `images/${file}`, length: 262144, empty: true });
    const coreiso = said.some((line) => line.startsWith('coreiso+ header'));
    expect(bytes.toString('latin1', 32744, 32752) === 'coreiso+').toBe(coreiso);
    if (coreiso) expect(report.ignition?.offset).toBe(Number(bytes.readBigUInt64LE(32752)));
    const json = said.some((line) => line.startsWith('kargs.json'));
    const header = said.some((line) => line.startsWith('coreKarg header'));
    expect(kargs?.default).toBe(json || header ? kargs?.kargs : undefined);
    expect(kargs?.areas.length).toBe(json || header ? (arch === 's390x' ? 1 : 2) : 0);
    if (header) {
      // Behind its magic: the length of each area, the default's offset, and those of the areas.
      const fields = [0, 1, 2, 3].map((field) => Number(bytes.readBigUInt64LE(32680 + field * 8)));
      const [length, , ...offsets] = fields;
      const areas = kargs?.areas.map((area) => [area.offset, area.length]);
      expect(areas?.sort()).toEqual(offsets.map((offset) => [offset, length]).sort());
    }

    // They are trimmed: names without contents.
    expect(report).toMatchObject({ rootImage: undefined, osmets: [] });
    const trimmed = lacks
      .filter(({ code }) => code === 'ISO_TRIMMED')
      .map(({ message }) => message);
    // The head of s390x's kernel is where its ISO keeps embed areas.
    const missing = report.files.filter(({ role }) => role !== 'kernel' || arch !== 's390x');
    expect(trimmed.sort()).toEqual(
      missing
        .map(({ path, length }) => `${path} is a placeholder of ${length} bytes: a trimmed ISO`)
        .sort(),
    );
    expect(lacks).toHaveLength(trimmed.length);
  });

  test('300 mutations of each: a report or a RehydrateError, and always text', async () => {
    for (const [name] of INDEX) {
      await survive(golden(`iso/${name}.iso`), 300, async (bytes) =>
        renderIsoReport(await inspect(bytes)),
      );
    }
  });
});

test('an ISO of something else', async () => {
  const report = await inspect(golden('iso/rock.iso'));
  expect(report).toMatchObject({ arch: undefined, files: [], osmets: [] });
  expect(renderIsoReport(report)).toMatch(/^Lacks +live\.iso is an ISO image, but not a CoreOS/m);
});

test('no control sequence reaches the terminal', async () => {
  const report = await inspect(golden('iso/live.iso'));
  const text = renderIsoReport({ ...report, path: '\x1b[2J\u202e.iso' });
  expect(text).toContain('\\u{1b}[2J\\u{202e}.iso');
});

test('10,000 mutations: a report or a RehydrateError, and always text', async () => {
  await survive(golden('iso/live.iso'), 10_000, async (bytes) =>
    renderIsoReport(await inspect(bytes)),
  );
});
