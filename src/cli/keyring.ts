import { UsageError } from '../core/errors.ts';
import { readKeyring } from '../release/download/keyring.ts';
import type { Keys } from '../release/download/signature.ts';
import { requireTool } from '../release/files/require-tool.ts';
import type { KeyringOptions } from './option-groups.ts';

/**
 * Reads the keys that --keyring names, and checks that gpgv is installed. Throws UsageError `KEYRING_ALONE`, ToolError
 * `TOOL_MISSING`, and the errors of `readKeyring`.
 */
export async function keysOf(
  { keyring, acceptKey: acceptKeys }: KeyringOptions,
  signal: AbortSignal,
): Promise<Keys | undefined> {
  if (keyring !== undefined) {
    await requireTool('gpgv');
    return { keys: await readKeyring(keyring, signal), acceptKeys };
  }
  if (acceptKeys === undefined) return undefined;
  throw new UsageError('--accept-key needs --keyring', {
    code: 'KEYRING_ALONE',
    hint: 'add --keyring with the public keys of the release',
  });
}
