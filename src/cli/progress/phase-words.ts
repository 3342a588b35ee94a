import type { Phase } from '../../core/progress/progress.ts';

/** How each phase is shown to people. */
export const PHASE_WORDS: Readonly<Record<Phase, string>> = {
  fetch: 'fetching',
  push: 'pushing',
  'hash-iso': 'checking the ISO',
  boot: 'booting',
  login: 'waiting for login',
  unpack: 'unpacking the disk',
  hash: 'hashing the disk',
  poweroff: 'powering off',
  'check-base': 'checking the disk',
  index: 'indexing',
  read: 'reading',
  match: 'matching',
  copy: 'copying',
  patch: 'patching',
  verify: 'verifying',
};
