import { type Arch, isArch } from '../../core/arch.ts';
import type { CodeOf } from '../../core/error-codes.ts';
import { UnsupportedError } from '../../core/errors.ts';
import type { Iso9660 } from './iso9660.ts';
import type { IsoExtent } from './live-iso.ts';

/** The paths in the ISO's own index files. Any of them may be wrong. */
export interface LayoutHints {
  /** `.treeinfo`, `[general] arch`. */
  readonly arch: Arch | undefined;
  readonly kernel: readonly string[];
  readonly initrd: readonly string[];
}

const MAX_HINT_BYTES = 64 << 10;

const ROOTFS = ['images/pxeboot/rootfs.img', 'images/rootfs.img'];
const INITRD = ['images/pxeboot/initrd.img', 'images/initrd.img'];
const KERNEL = ['images/pxeboot/vmlinuz', 'images/vmlinuz'];
/** On s390x the kernel is `kernel.img`; a `vmlinuz` beside it may not boot. */
const KERNEL_S390X = ['images/pxeboot/kernel.img', 'images/kernel.img', ...KERNEL];

export async function readLayoutHints(iso: Iso9660): Promise<LayoutHints> {
  const read = async (path: string): Promise<string> =>
    Buffer.from((await iso.readFile(path, MAX_HINT_BYTES)) ?? []).toString('utf8');
  const treeinfo = parseTreeinfo(await read('.treeinfo'));
  const ins = parseIns(await read('generic.ins'));
  return {
    arch: treeinfo.arch,
    kernel: [treeinfo.kernel, ins.kernel].filter((path) => path !== undefined),
    initrd: [treeinfo.initrd, ins.initrd].filter((path) => path !== undefined),
  };
}

interface Hint {
  readonly arch?: Arch | undefined;
  readonly kernel?: string | undefined;
  readonly initrd?: string | undefined;
}

/** productmd treeinfo: an INI file with the files per architecture in `[images-ARCH]`. */
export function parseTreeinfo(text: string): Hint {
  const sections = new Map<string, Map<string, string>>();
  let section = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const name = /^\s*\[([^\]]+)\]\s*$/.exec(line)?.[1];
    if (name !== undefined) {
      section = new Map();
      sections.set(name, section);
      continue;
    }
    const [, key, value] = /^\s*([^#;=\s][^=]*?)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (key !== undefined && value !== undefined) section.set(key, value);
  }
  const arch = sections.get('general')?.get('arch');
  const images = sections.get(`images-${arch}`);
  return {
    arch: arch !== undefined && isArch(arch) ? arch : undefined,
    kernel: images?.get('kernel'),
    initrd: images?.get('initrd'),
  };
}

/** s390x `generic.ins`: a comment line, then `FILE ADDRESS` lines; the kernel loads at 0. */
export function parseIns(text: string): Hint {
  const lines = text.split(/\r?\n/).map((line) => line.trim().split(/\s+/));
  const images = lines.filter(([file, address]) => file?.endsWith('.img') && address !== undefined);
  return {
    kernel: images.find(([, address]) => Number(address) === 0)?.[0],
    initrd: images.find(([, address]) => Number(address) !== 0)?.[0],
  };
}

/** @throws UnsupportedError `ISO_NO_ROOTFS`: not a CoreOS live ISO, or a minimal one. */
export async function findRootfs(iso: Iso9660): Promise<IsoExtent> {
  const rootfs = await firstFile(iso, ROOTFS);
  if (rootfs) return rootfs;
  const minimal = await firstFile(iso, KERNEL_S390X);
  throw new UnsupportedError(
    minimal
      ? `${iso.source.name} has no root file system: a minimal or network-boot ISO`
      : `${iso.source.name} is an ISO image, but not a CoreOS live ISO`,
    {
      code: minimal ? 'ISO_NO_ROOTFS' : 'ISO_NOT_COREOS',
      context: { file: iso.source.name, volumeId: iso.volumeId, lookedFor: ROOTFS.join(', ') },
      hint: 'use the full live ISO of the release (`metal`, format `iso`, in the stream JSON)',
    },
  );
}

/** @throws UnsupportedError `ISO_NO_KERNEL` */
export function findKernel(iso: Iso9660, hints: LayoutHints, arch?: Arch): Promise<IsoExtent> {
  const names = arch === 's390x' ? KERNEL_S390X : KERNEL;
  return firstOf(iso, 'kernel', 'ISO_NO_KERNEL', [...hints.kernel, ...names]);
}

/** @throws UnsupportedError `ISO_NO_INITRD` */
export function findInitrd(iso: Iso9660, hints: LayoutHints): Promise<IsoExtent> {
  return firstOf(iso, 'initrd', 'ISO_NO_INITRD', [...hints.initrd, ...INITRD]);
}

async function firstOf(
  iso: Iso9660,
  what: string,
  code: CodeOf<'unsupported'>,
  candidates: readonly string[],
): Promise<IsoExtent> {
  const found = await firstFile(iso, candidates);
  if (found) return found;
  throw new UnsupportedError(`${iso.source.name} has no ${what} in any known place`, {
    code,
    context: { file: iso.source.name, lookedFor: [...new Set(candidates)].join(', ') },
    hint: 'use the full live ISO of the release',
  });
}

async function firstFile(
  iso: Iso9660,
  candidates: readonly string[],
): Promise<IsoExtent | undefined> {
  for (const path of candidates) {
    const extent = await iso.extent(path);
    if (extent && extent.length > 0) return extent;
  }
  return undefined;
}

/** Bootloader files that only one architecture has, for ISOs without an osmet. */
const MARKS: readonly (readonly [string, Arch])[] = [
  ['images/cdboot.img', 's390x'],
  ['generic.ins', 's390x'],
  ['ppc/bootinfo.txt', 'ppc64le'],
  ['boot/grub/powerpc-ieee1275', 'ppc64le'],
  ['isolinux/isolinux.bin', 'x86_64'],
];

export async function archByLayout(iso: Iso9660): Promise<Arch | undefined> {
  for (const [path, arch] of MARKS) if (await iso.lookup(path)) return arch;
  return undefined;
}
