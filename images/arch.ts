/** Architecture names as CoreOS stream metadata spells them. */
export const ARCHITECTURES = ['x86_64', 'aarch64', 'ppc64le', 's390x'] as const;
export type Arch = (typeof ARCHITECTURES)[number];
