/** Kernel arguments from bootloader configurations. Pure text to text; `undefined` if not found. */

/** z/IPL parameter file: all of it, lines joined. */
export function parsePrmKargs(text: string): string | undefined {
  return normalize(text.split(/[\r\n\0]+/).join(' '));
}

/** SYSLINUX: the first `append` line, without the `initrd=` for the bootloader itself. */
export function parseIsolinuxKargs(text: string): string | undefined {
  const line = /^[ \t]*append[ \t]+(.+)$/im.exec(text)?.[1];
  if (line === undefined) return undefined;
  return normalize(
    line
      .split(/\s+/)
      .filter((karg) => !karg.startsWith('initrd='))
      .join(' '),
  );
}

/** GRUB: the first `linux` line, without command and kernel path. */
export function parseGrubKargs(text: string): string | undefined {
  const line = /^[ \t]*linux(?:efi|16)?[ \t]+\S+(?:[ \t]+(.+))?$/m.exec(text)?.[1];
  return line === undefined ? undefined : normalize(line);
}

function normalize(text: string): string | undefined {
  const kargs = text.trim().replace(/\s+/g, ' ');
  return kargs === '' ? undefined : kargs;
}
