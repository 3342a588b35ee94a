import * as v from 'valibot';
import { FormatError, UnsupportedError } from '../../core/errors.ts';
import { readIsoJson } from './iso-json.ts';
import { readIso } from './iso9660/directory.ts';
import type { Iso9660 } from './iso9660.ts';
import { parseGrubKargs, parseIsolinuxKargs, parsePrmKargs } from './kargs-parse.ts';
import type { IsoExtent } from './live-iso.ts';

/** The kernel arguments with which the ISO boots itself. */
export interface LiveKargs {
  readonly kargs: string;
  /** The release's own arguments, if the ISO still has them: `iso kargs modify` keeps them. */
  readonly default: string | undefined;
  /** Where `kargs` was found. */
  readonly source: string;
  /** Areas of the ISO that hold them, one per bootloader configuration. */
  readonly areas: readonly IsoExtent[];
}

// Limits of coreos-installer's src/live/embed.rs.
const MAX_AREA_SIZE = 2048;
const MAX_SYSTEM_AREAS = 6;
const SYSTEM_AREA_HEADER_OFFSET = 32768 - 24 - 72;
const MAX_KARGS = 4096;
const MAX_CONFIG_BYTES = 64 << 10;

const Offset = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const Char = v.pipe(
  v.string(),
  v.check((text) => [...text].length === 1, 'must be one character'),
);
const KargsJson = v.object({
  default: v.string(),
  files: v.pipe(
    v.array(
      v.object({
        path: v.string(),
        offset: Offset,
        pad: v.optional(Char),
        end: v.optional(Char),
      }),
    ),
    v.maxLength(64),
  ),
  size: v.pipe(Offset, v.maxValue(MAX_AREA_SIZE)),
});

/**
 * Finds the ISO's kernel arguments as `coreos-installer iso kargs show` does: the embed areas named
 * by `coreos/kargs.json` or, in 2021, by the `coreKarg` header of the system area. ISOs without
 * embed areas (before 2021, s390x before mid 2023) have them in a bootloader configuration only.
 *
 * @throws FormatError `ISO_KARGS_BAD`, `ISO_BAD_JSON`; UnsupportedError `ISO_NO_KARGS`.
 */
export async function readLiveKargs(iso: Iso9660): Promise<LiveKargs> {
  const found = await findLiveKargs(iso);
  if (found === undefined) throw noKargs(iso.source.name, iso.volumeId);
  return found;
}

/** The error for an ISO without kernel arguments, if they are needed. */
export function noKargs(file: string, volumeId: string): UnsupportedError {
  return new UnsupportedError('the ISO does not say which kernel arguments it boots with', {
    code: 'ISO_NO_KARGS',
    context: { file, volumeId },
    hint: 'use --engine native, which does not boot it',
  });
}

/** Like {@link readLiveKargs}; undefined if the ISO has none. */
export async function findLiveKargs(iso: Iso9660): Promise<LiveKargs | undefined> {
  const found =
    (await fromKargsJson(iso)) ?? (await fromSystemArea(iso)) ?? (await fromConfigFiles(iso));
  if (found === undefined) return undefined;
  if (/\p{Cc}/u.test(found.kargs) || Buffer.byteLength(found.kargs) > MAX_KARGS) {
    throw badKargs(
      `the kernel arguments in ${found.source} are too long or have control characters`,
    );
  }
  return found;
}

async function fromKargsJson(iso: Iso9660): Promise<LiveKargs | undefined> {
  const path = 'coreos/kargs.json';
  const info = await readIsoJson(iso, path, KargsJson);
  if (info === undefined) return undefined;
  const areas: Area[] = [];
  for (const file of info.files) {
    const extent = await iso.extent(file.path);
    if (extent === undefined) throw badKargs(`${path} names '${file.path}', which does not exist`);
    if (file.offset + info.size > extent.length) {
      throw badKargs(`${path}: the area at ${file.offset} leaves '${file.path}'`);
    }
    areas.push({
      path: extent.path,
      offset: extent.offset + file.offset,
      length: info.size,
      pad: file.pad ?? '#',
      end: file.end ?? '\n',
    });
  }
  if (areas.length === 0) {
    return { kargs: info.default.trim(), default: info.default, source: path, areas };
  }
  return { ...(await readAreas(iso, areas)), default: info.default };
}

/** 72 bytes in front of the Ignition header: magic, area length, default's offset, 6 offsets. */
async function fromSystemArea(iso: Iso9660): Promise<LiveKargs | undefined> {
  const bytes = await readIso(iso.source, SYSTEM_AREA_HEADER_OFFSET, 72, 'the system area');
  const header = Buffer.from(bytes);
  if (header.toString('latin1', 0, 8) !== 'coreKarg') return undefined;
  const length = Number(header.readBigUInt64LE(8));
  if (length > MAX_AREA_SIZE) throw badKargs(`the coreKarg header claims areas of ${length} bytes`);
  const area = (field: number): Area => ({
    path: `system area field ${field}`,
    offset: Number(header.readBigUInt64LE(16 + field * 8)),
    length,
    pad: '#',
    end: '\n',
  });
  const areas: Area[] = [];
  for (let field = 1; field <= MAX_SYSTEM_AREAS && area(field).offset !== 0; field++) {
    areas.push(area(field));
  }
  if (areas.length === 0) throw badKargs('the coreKarg header has no areas');
  return { ...(await readAreas(iso, areas)), default: await readArea(iso, area(0)) };
}

interface Area extends IsoExtent {
  readonly pad: string;
  readonly end: string;
}

/** All areas must be equal, because the firmware decides which bootloader, and so which area, is used. */
async function readAreas(
  iso: Iso9660,
  areas: readonly Area[],
): Promise<Pick<LiveKargs, 'kargs' | 'source' | 'areas'>> {
  let kargs: string | undefined;
  for (const area of areas) {
    const text = await readArea(iso, area);
    if (kargs !== undefined && kargs !== text) {
      throw badKargs(`kernel arguments differ between ${areas[0]?.path} and ${area.path}`);
    }
    kargs = text;
  }
  return {
    kargs: kargs ?? '',
    source: areas[0]?.path ?? '',
    areas: areas.map(({ path, offset, length }) => ({ path, offset, length })),
  };
}

async function readArea(iso: Iso9660, area: Area): Promise<string> {
  const bytes = await readIso(iso.source, area.offset, area.length, 'a kernel argument area');
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return trimEndOf(trimEndOf(text, area.pad), area.end).trim();
  } catch (cause) {
    throw badKargs(`the kernel argument area in ${area.path} is not UTF-8`, cause);
  }
}

function trimEndOf(text: string, char: string): string {
  let end = text.length;
  while (end > 0 && text.endsWith(char, end)) end -= char.length;
  return text.slice(0, end);
}

/** Without embed areas: the arguments in the bootloader configs. */
async function fromConfigFiles(iso: Iso9660): Promise<LiveKargs | undefined> {
  for (const [path, parse] of [
    ['zipl.prm', parsePrmKargs],
    ['images/cdboot.prm', parsePrmKargs],
    ['images/generic.prm', parsePrmKargs],
    ['isolinux/isolinux.cfg', parseIsolinuxKargs],
    ...(await grubConfigs(iso)).map((config) => [config, parseGrubKargs] as const),
  ] as const) {
    const bytes = await iso.readFile(path, MAX_CONFIG_BYTES);
    const kargs = bytes && parse(Buffer.from(bytes).toString('utf8'));
    if (kargs) return { kargs, default: undefined, source: path, areas: [] };
  }
  return undefined;
}

async function grubConfigs(iso: Iso9660): Promise<string[]> {
  const efi = await iso.lookup('EFI');
  const vendors = efi ? await iso.list(efi) : [];
  const paths = vendors.filter((v) => v.kind === 'directory').map((v) => `${v.path}/grub.cfg`);
  return [...paths, 'boot/grub/grub.cfg', 'boot/grub2/grub.cfg'];
}

function badKargs(message: string, cause?: unknown): FormatError {
  return new FormatError(message, {
    code: 'ISO_KARGS_BAD',
    hint: 'use the ISO as released',
    cause,
  });
}
