import { ownTerminal } from './own-terminal.ts';
import { spawnOnQemusTerminal } from './qemus-terminal.ts';
import type { Terminals } from './terminals.ts';

/** A terminal that we make, by node-pty; on hosts that have no build of it, one that QEMU makes. */
export function openTerminals(): Terminals {
  return ownTerminal() ?? { console: 'pty', spawn: spawnOnQemusTerminal };
}
