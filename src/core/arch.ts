import { ARCHITECTURES, type Arch } from '../../images/arch.ts';
import { UsageError } from './errors.ts';

export { ARCHITECTURES, type Arch };

/** OCI/Go, Debian and Node spellings of the same architectures. */
const ALIASES: Readonly<Record<string, Arch>> = {
  amd64: 'x86_64',
  x64: 'x86_64',
  arm64: 'aarch64',
  ppc64el: 'ppc64le',
  ppc64: 'ppc64le', // Node's process.arch, which means little endian on Linux
};

/** OCI `platform.architecture` (GOARCH) of an architecture, for image indexes. */
export const OCI_ARCHITECTURE: Readonly<Record<Arch, string>> = {
  x86_64: 'amd64',
  aarch64: 'arm64',
  ppc64le: 'ppc64le',
  s390x: 's390x',
};

export function isArch(name: string): name is Arch {
  return (ARCHITECTURES as readonly string[]).includes(name);
}

/** Accepts CoreOS (`x86_64`) and OCI/Go (`amd64`) names. Throws {@link UsageError} on others. */
export function parseArch(name: string): Arch {
  const arch = isArch(name) ? name : ALIASES[name];
  if (arch === undefined) {
    throw new UsageError(`unknown architecture '${name}'`, {
      code: 'ARCH_UNKNOWN',
      hint: `use one of ${ARCHITECTURES.join(', ')}`,
    });
  }
  return arch;
}
