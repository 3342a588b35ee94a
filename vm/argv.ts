import type { Accel, VmProfile } from './profiles/index.ts';

/**
 * QEMU's command line, as pure functions that each return one argument vector. Host paths travel in
 * JSON `-blockdev` arguments, so that no file name can be taken for QEMU syntax.
 */

/** One raw file that the guest sees as a virtio disk. */
export interface DiskSpec {
  /** Serial number in the guest (at most 20 characters), device id and block node name. */
  readonly id: string;
  readonly path: string;
  /** Logical and physical sector size, bytes. */
  readonly sectorSize: number;
}

export interface VmSpec {
  readonly profile: VmProfile;
  readonly accel: Accel;
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly kernel: string;
  readonly initrd: string;
  /** Kernel command line. */
  readonly append: string;
  readonly iso: string;
  readonly disks: readonly DiskSpec[];
  /** Unix socket on which we listen; QEMU connects to it and speaks QMP. */
  readonly qmpSocket: string;
  /** Whether this QEMU was built with seccomp. */
  readonly sandbox: boolean;
  readonly console: ConsoleKind;
}

/**
 * Where the guest's first serial line is: on the terminal that QEMU is started on, or on one that QEMU makes and whose
 * name QMP tells. There the guest waits for QMP's `cont`, so that none of its output is lost.
 */
export type ConsoleKind = 'stdio' | 'pty';

/** virtio-blk cuts longer serial numbers off. */
export const MAX_SERIAL = 20;
/** The live ISO's disk in QMP answers. */
export const ISO_NODE = 'live-iso';
/** Write-back, and the guest's flushes are ignored: a crash loses the temporary file anyway. */
const CACHE = { direct: false, 'no-flush': true };

export function machineArgs(profile: VmProfile, accel: Accel): string[] {
  return [
    '-machine',
    profile.machine[accel],
    '-accel',
    accel === 'tcg' ? 'tcg,thread=multi' : 'kvm',
    '-cpu',
    profile.cpu[accel],
  ];
}

export function resourceArgs(memoryMiB: number, vcpus: number): string[] {
  return ['-m', `${memoryMiB}M`, '-smp', `${vcpus}`];
}

/** Disables everything that is not needed: no network, display, user configuration or extra devices. */
export function isolationArgs({ sandbox }: Pick<VmSpec, 'sandbox'>): string[] {
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-nic', 'none'],
    ...(sandbox ? ['-sandbox', SANDBOX] : []),
  ];
}

/** What libvirt uses: QEMU can neither start programs nor change its user or scheduling. */
export const SANDBOX = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny';

/** `-no-reboot` makes a guest that reboots (or panics, with `panic=-1`) end QEMU. */
export function kernelArgs(kernel: string, initrd: string, append: string): string[] {
  return ['-kernel', kernel, '-initrd', initrd, '-append', append, '-no-reboot'];
}

/** QEMU's name of the serial line. */
export const CONSOLE_ID = 'console';

/** The first serial line. Ctrl-C on QEMU's own terminal is a byte for the guest, not a signal. */
export function consoleArgs(kind: ConsoleKind): string[] {
  const serial = ['-serial', `chardev:${CONSOLE_ID}`];
  return kind === 'stdio'
    ? ['-chardev', `stdio,id=${CONSOLE_ID},signal=off`, ...serial]
    : ['-chardev', `pty,id=${CONSOLE_ID}`, ...serial, '-S'];
}

export function monitorArgs(qmpSocket: string): string[] {
  const chardev = `socket,id=qmp,path=${qmpSocket.replaceAll(',', ',,')}`;
  return ['-chardev', chardev, '-mon', 'chardev=qmp,mode=control'];
}

export function rngArgs(profile: VmProfile): string[] {
  return ['-object', 'rng-builtin,id=rng', '-device', `${profile.devices.rng},rng=rng`];
}

/** The ISO, read-only for QEMU and for the guest. Found there by its volume label. */
export function isoArgs(profile: VmProfile, path: string): string[] {
  const node = {
    driver: 'raw',
    'node-name': ISO_NODE,
    'read-only': true,
    file: { driver: 'file', filename: path, 'read-only': true, locking: 'off' },
  };
  const device = `${profile.devices.disk},id=${ISO_NODE},drive=${ISO_NODE},serial=${ISO_NODE}`;
  return ['-blockdev', JSON.stringify(node), '-device', device];
}

/** A disk to write. Host write errors (disk full) stop the guest and come as a QMP event. */
export function diskArgs(profile: VmProfile, disk: DiskSpec): string[] {
  if (disk.id.length > MAX_SERIAL) throw new Error(`disk id '${disk.id}' is too long for a serial`);
  const node = {
    driver: 'raw',
    'node-name': disk.id,
    cache: CACHE,
    file: { driver: 'file', filename: disk.path, cache: CACHE, aio: 'threads' },
  };
  const device = [
    profile.devices.disk,
    `id=${disk.id}`,
    `drive=${disk.id}`,
    `serial=${disk.id}`,
    `logical_block_size=${disk.sectorSize}`,
    `physical_block_size=${disk.sectorSize}`,
    'werror=stop',
    'rerror=report',
  ];
  return ['-blockdev', JSON.stringify(node), '-device', device.join(',')];
}

/** The whole argument vector, without the program's name. */
export function vmArgs(vm: VmSpec): string[] {
  return [
    ...isolationArgs(vm),
    ...machineArgs(vm.profile, vm.accel),
    ...resourceArgs(vm.memoryMiB, vm.vcpus),
    ...kernelArgs(vm.kernel, vm.initrd, vm.append),
    ...consoleArgs(vm.console),
    ...monitorArgs(vm.qmpSocket),
    ...rngArgs(vm.profile),
    ...isoArgs(vm.profile, vm.iso),
    ...vm.disks.flatMap((disk) => diskArgs(vm.profile, disk)),
  ];
}

/** The ISO's own kernel arguments, then ours: on the kernel's command line the later one wins. */
export function kernelCommandLine(isoKargs: string, profile: VmProfile, accel: Accel): string {
  return [isoKargs.trim(), ...profile.kargs[accel], profile.consoleKarg].filter(Boolean).join(' ');
}
