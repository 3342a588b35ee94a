import { describe, expect, test } from 'vitest';
import { golden } from '../../test/golden/load.ts';
import { survive } from '../../test/golden/mutate.ts';
import { memorySource } from '../io/memory-source.ts';
import { inspectIsoSource, renderIsoReport } from './inspect.ts';

const inspect = (bytes: Uint8Array) => inspectIsoSource(memorySource(bytes, 'live.iso'));

describe('a whole ISO', () => {
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
    expect(text).toMatch(/metal4k: disk of 16\.00 MiB, 4096-byte sectors, 1\.7 % mapped/);
    expect(text).toContain('root.squashfs, 4 KiB at 346236, squashfs, zstd');
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

describe("trimmed real ISOs: all that coreos-installer's INDEX says, and what they lack", () => {
  test.each([
    ['2020-09', 'x86_64', 'bootloader', 'images/ignition.img', 92160, false],
    ['2021-01', 'x86_64', 'bootloader', 'images/ignition.img', 96256, false],
    ['2021-09', 'x86_64', 'bootloader', 'images/ignition.img', 102400, false],
    ['2023-07.x86_64', 'x86_64', 'bootloader', 'images/ignition.img', 139264, true],
    ['2023-07.s390x', 's390x', 'kernel', 'images/cdboot.img', 203776, true],
  ])('%s', async (name, arch, archSource, path, offset, miniso) => {
    const report = await inspect(golden(`iso/embed-areas-${name}.iso`));
    expect(report).toMatchObject({
      arch,
      archSource,
      // `coreos-installer dev show iso --ignition` says the same.
      ignition: { path, offset, length: 262144, empty: true },
      miniso,
      rootImage: undefined,
      osmets: [],
    });
    expect(report.kargs?.kargs).toContain(`coreos.liveiso=${report.volumeId}`);
    expect(report.features.includes('installer-config-directives.offline')).toBe(miniso);
    const codes = report.lacks.map(({ code }) => code);
    expect(codes).toContain('CPIO_BAD');
    expect(codes).toContain('ISO_TRIMMED');
    expect(renderIsoReport(report)).toContain('images/pxeboot/rootfs.img: no newc cpio archive');
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
