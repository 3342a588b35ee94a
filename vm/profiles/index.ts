import type { Arch } from '../../images/arch.ts';
import { aarch64 } from './aarch64.ts';
import { ppc64le } from './ppc64le.ts';
import type { VmProfile } from './profile.ts';
import { s390x } from './s390x.ts';
import { x86_64 } from './x86_64.ts';

export type { Accel, VmProfile } from './profile.ts';

/** The guest's profile, by its architecture. */
export const PROFILES: Readonly<Record<Arch, VmProfile>> = { x86_64, aarch64, ppc64le, s390x };
