import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import type { Arch } from '../../../src/core/arch.ts';
import type { LiveIso } from '../../../src/formats/iso/live-iso.ts';
import { openLiveIso } from '../../../src/formats/iso/open.ts';
import { fixtureStream, type Promised, pick, promised } from './fixture.ts';
import { sha256sum } from './judge.ts';

/** How an ISO without osmets is laid out: as coreos-assembler does it, or as a generic ISO of image-builder. */
export type IsoLayout = 'coreos' | 'generic';

/** Writes the fixture's ISO of an architecture again, without its osmets. */
export async function isoWithoutOsmets(arch: Arch, layout: IsoLayout, to: string): Promise<void> {
  const iso = await openLiveIso(pick('metal', 'iso', 'disk', arch).released);
  const work = `${to}-work`;
  const tree = join(work, 'iso');
  await mkdir(work, { recursive: true });
  await execa('xorriso', ['-osirrox', 'on', '-indev', iso.path, '-extract', '/', tree]);
  await execa('chmod', ['-R', 'u+w', tree]);
  const rootfs = join(tree, iso.rootfs.path);
  if (layout === 'coreos') {
    await cutRootImage(iso, join(work, iso.rootImage.path));
    const archive = 'echo "$1" | cpio -o -H newc --quiet >"$2"';
    await execa('sh', ['-c', archive, 'sh', iso.rootImage.path, rootfs], { cwd: work });
  } else {
    await rm(rootfs);
    await mkdir(join(tree, 'LiveOS'));
    await cutRootImage(iso, join(tree, 'LiveOS/squashfs.img'));
  }
  await execa('xorriso', ['-as', 'mkisofs', '-quiet', '-R', '-o', to, tree]);
  await rm(work, { recursive: true });
}

export function cutRootImage({ path, rootImage }: LiveIso, to: string) {
  const { offset, length } = rootImage;
  return execa('dd', [
    ...[`if=${path}`, `of=${to}`, 'bs=1M', 'status=none'],
    ...['iflag=skip_bytes,count_bytes', `skip=${offset}`, `count=${length}`],
  ]);
}

/** The platforms of the release: one for each kind of container. Others differ in the delta to the same metal disk. */
const PLATFORMS: Readonly<Partial<Record<Arch, readonly string[]>>> = {
  x86_64: ['metal', 'qemu', 'aws'],
  s390x: ['metal', 'qemu', 'kubevirt'],
};

/** The disk images of an architecture: what neither is the ISO nor a part of it. */
export const diskImages = (arch: Arch): Promised[] =>
  promised(arch).filter(
    ({ platform, format }) =>
      PLATFORMS[arch]?.includes(platform) === true && !['iso', 'pxe'].includes(format),
  );

/**
 * A release of disk images of some architectures, in links, with ISOs without osmets. Returns the arguments that
 * name it.
 */
export async function releaseOfDisks(
  folder: string,
  layouts: Readonly<Partial<Record<Arch, IsoLayout>>>,
): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const stream = fixtureStream();
  const architectures: typeof stream.architectures = {};
  for (const [arch, layout] of Object.entries(layouts) as [Arch, IsoLayout][]) {
    const kept = structuredClone(stream.architectures[arch]?.artifacts ?? {});
    delete kept.metal?.formats.pxe;
    for (const platform of Object.keys(kept)) {
      if (PLATFORMS[arch]?.includes(platform) !== true) delete kept[platform];
    }
    for (const { released } of diskImages(arch)) {
      await symlink(released, join(folder, basename(released)));
    }
    const { released } = pick('metal', 'iso', 'disk', arch);
    const iso = join(folder, basename(released));
    await isoWithoutOsmets(arch, layout, iso);
    const entry = kept.metal?.formats.iso?.disk;
    if (entry === undefined) throw new Error(`the fixture has no ISO of ${arch}`);
    entry.sha256 = await sha256sum(iso);
    architectures[arch] = { artifacts: kept };
  }
  const path = join(folder, 'stream.json');
  await writeFile(path, JSON.stringify({ ...stream, architectures }));
  return ['--stream', path, '--artifacts', folder];
}
