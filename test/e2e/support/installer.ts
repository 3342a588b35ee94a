import { readdirSync, statSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { defaultCacheRoot } from '../../../scripts/fixture/cache.ts';

/** A release's signing key, made anew, and the real coreos-installer as a client that trusts it. */
export interface Signer {
  /** The public key, as `--keyring` takes it. */
  readonly keyring: string;
  /** Writes `FILE.sig`, as release jobs do. */
  sign(file: string): Promise<void>;
  /** Ends the agent that gpg has started. */
  end(): Promise<void>;
}

/** Makes a key in `folder`. The name that gpg shows for it is `release`. */
export async function createSigner(folder: string): Promise<Signer> {
  const home = join(folder, 'home');
  const keyring = join(folder, 'keys.gpg');
  await mkdir(home, { mode: 0o700, recursive: true });
  const gpg = (...args: string[]) => {
    const fixed = ['--homedir', home, '--batch', '--quiet', '--pinentry-mode', 'loopback'];
    return execa('gpg', [...fixed, '--passphrase', '', ...args]);
  };
  await gpg('--quick-gen-key', 'release', 'ed25519', 'sign', 'never');
  await gpg('--output', keyring, '--export', 'release');
  return {
    keyring,
    sign: async (file) => {
      await gpg('--output', `${file}.sig`, '--detach-sign', file);
    },
    end: async () => {
      await execa('gpgconf', ['--homedir', home, '--kill', 'all']);
    },
  };
}

/**
 * A folder for PATH with a gpg that imports `keyring` beside the keys that are built into coreos-installer, which do
 * not know it.
 */
export async function trustingGpg(folder: string, keyring: string): Promise<string> {
  const bin = join(folder, 'bin');
  await mkdir(bin, { recursive: true });
  const real = (await execa('bash', ['-c', 'command -v gpg'])).stdout;
  const also = `"${real}" "\${@:1:2}" --batch --quiet --import "${keyring}"`;
  const script = `#!/bin/bash\n"${real}" "$@" || exit\ncase " $* " in *" --import "*) ${also} ;; esac\n`;
  await writeFile(join(bin, 'gpg'), script);
  await chmod(join(bin, 'gpg'), 0o755);
  return bin;
}

/** The coreos-installer of the fixture's live system. */
export function installer(): string {
  const stages = join(defaultCacheRoot(), 'installer-x86_64');
  const [newest] = readdirSync(stages)
    .map((name) => join(stages, name, 'coreos-installer'))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  if (newest === undefined) throw new Error('the fixture has no coreos-installer');
  return newest;
}
