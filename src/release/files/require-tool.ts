import { execa } from 'execa';
import { toolMissing } from '../../core/errors.ts';

const INSTALL = {
  xz: 'install it (Debian: xz-utils, Fedora: xz)',
  gpgv: 'install it (Debian: gpgv, Fedora: gnupg2), or leave --keyring out',
} as const;

/** Throws ToolError `TOOL_MISSING` before hours of work that would need the program at their end. */
export async function requireTool(name: keyof typeof INSTALL): Promise<void> {
  const result = await execa(name, ['--version'], {
    reject: false,
    stdin: 'ignore',
    maxBuffer: 1 << 16,
  });
  if (result.code === 'ENOENT') throw toolMissing(name, INSTALL[name], result);
}
