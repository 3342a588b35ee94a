import { execa } from 'execa';
import { SANDBOX } from '../../../vm/argv.ts';
import type { VmProfile } from '../../../vm/profiles/index.ts';
import { ToolError } from '../../core/errors.ts';

export interface QemuTool {
  readonly binary: string;
  /** e.g. `10.0.2` */
  readonly version: string;
  readonly major: number;
  /** Built with seccomp. */
  readonly sandbox: boolean;
}

/** What this host offers to confine QEMU with. */
export interface HostIsolation {
  /** setpriv can tie QEMU's life to ours. */
  readonly setpriv: boolean;
  /** The start of a command line whose program has no network, not even the host's loopback; empty if denied here. */
  readonly unshare: readonly string[];
}

/** Older versions mostly work, but are not tested with current kernels. */
export const WANTED_MAJOR = 8;

/** Finds QEMU for a guest, its version and its features. `override` is a path. Throws {@link ToolError}. */
export async function findQemu(profile: VmProfile, override?: string): Promise<QemuTool> {
  const binary = override ?? profile.qemu.binary;
  const install = `install ${profile.qemu.debian} (Debian, Ubuntu) or ${profile.qemu.fedora} (Fedora)`;
  const native = 'or use --engine native, which needs no QEMU';
  // QEMU parses `-sandbox` before it prints its version, so one call answers both questions.
  const sandboxed = await run(binary, ['-sandbox', SANDBOX, '--version']);
  if (sandboxed.missing) {
    throw new ToolError(`QEMU for ${profile.arch} guests (${binary}) is not on this host`, {
      code: 'QEMU_MISSING',
      context: { binary, arch: profile.arch },
      hint: `${install}, ${native}`,
    });
  }
  const answer = sandboxed.ok ? sandboxed : await run(binary, ['--version']);
  const match = /version (\d+)(\.\d+)*/.exec(answer.output);
  const version = match?.[0].replace('version ', '');
  if (!answer.ok || match === null || version === undefined) {
    throw new ToolError(`${binary} does not report its version`, {
      code: 'QEMU_BROKEN',
      context: { binary, output: answer.output.slice(0, 500) },
      hint: `see whether '${binary} --version' works, ${install}, ${native}`,
    });
  }
  const major = Number(match[1]);
  if (major < profile.qemu.minimumMajor) {
    throw new ToolError(`QEMU ${version} is too old for ${profile.arch} guests`, {
      code: 'QEMU_TOO_OLD',
      context: { binary, version, minimum: profile.qemu.minimumMajor },
      hint: `${install} of version ${profile.qemu.minimumMajor} or newer (Debian has it in its backports), ${native}`,
    });
  }
  return { binary, version, major, sandbox: sandboxed.ok };
}

/** Root needs no user namespace; others need one, which some hosts and most containers deny. */
const UNSHARES = [['--net'], ['--user', '--map-current-user', '--net']];

/** Tries what can confine a program here. */
export async function probeIsolation(): Promise<HostIsolation> {
  const setpriv = await run('setpriv', ['--pdeathsig', 'KILL', '--', 'true']);
  for (const args of UNSHARES) {
    if ((await run('unshare', [...args, '--', 'true'])).ok) {
      return { setpriv: setpriv.ok, unshare: ['unshare', ...args] };
    }
  }
  return { setpriv: setpriv.ok, unshare: [] };
}

async function run(file: string, args: readonly string[]) {
  const result = await execa(file, args, {
    reject: false,
    all: true,
    stdin: 'ignore',
    timeout: 20_000,
    maxBuffer: 1 << 16,
  });
  const missing = 'code' in result && (result.code === 'ENOENT' || result.code === 'EACCES');
  return { ok: !result.failed, missing, output: result.all ?? '' };
}
