import { expect, test } from 'vitest';
import { ARCHITECTURES } from '../src/core/arch.ts';
import { kernelCommandLine, type VmSpec, vmArgs } from './argv.ts';
import { type Accel, PROFILES } from './profiles/index.ts';

function spec(arch: keyof typeof PROFILES, accel: Accel): VmSpec {
  return {
    profile: PROFILES[arch],
    accel,
    memoryMiB: 2048,
    vcpus: 2,
    kernel: '/t/kernel',
    initrd: '/t/initrd',
    append: 'a=b',
    iso: '/isos/live,readonly=off.iso',
    disks: [
      { id: 'rehydrate-metal', path: '/out/m,driver=host_device.raw', sectorSize: 512 },
      { id: 'rehydrate-metal4k', path: '/out/m4k.raw', sectorSize: 4096 },
    ],
    qmpSocket: '/t/q,x.sock',
    sandbox: true,
    console: 'stdio',
  };
}

/** All values of an option that may repeat. */
function values(args: readonly string[], option: string): string[] {
  return args.flatMap((arg, i) => (arg === option ? [args[i + 1] ?? ''] : []));
}

/** What makes each guest what it is: machine, CPU by accelerator, disks on its own bus, console. */
const TABLE = {
  x86_64: ['q35', expect.stringMatching(/^max,.*erms=off/), 'pci', 'ttyS0,115200n8'],
  aarch64: ['virt,gic-version=max', 'max,pauth=off,sve=off,pmu=off', 'pci', 'ttyAMA0,115200n8'],
  ppc64le: [expect.stringMatching(/^pseries,/), 'power9', 'pci', 'hvc0'],
  s390x: ['s390-ccw-virtio', 'max', 'ccw', 'ttysclp0'],
} as const;

test.each(ARCHITECTURES)('%s under TCG and KVM', (arch) => {
  const [machine, cpu, bus, serial] = TABLE[arch];
  const tcg = vmArgs(spec(arch, 'tcg'));
  expect(values(tcg, '-machine')).toEqual([machine]);
  expect(values(tcg, '-accel')).toEqual(['tcg,thread=multi']);
  expect(values(tcg, '-cpu')).toEqual([cpu]);
  const kvm = vmArgs(spec(arch, 'kvm'));
  expect(values(kvm, '-accel')).toEqual(['kvm']);
  expect(values(kvm, '-cpu')).toEqual(['host']);
  for (const device of values(tcg, '-device'))
    expect(device).toMatch(new RegExp(`^virtio-\\w+-${bus},`));
  expect(kernelCommandLine('x', PROFILES[arch], 'kvm')).toMatch(new RegExp(`console=${serial}$`));
});

test.each(ARCHITECTURES)('%s is cut off from the world', (arch) => {
  const args = vmArgs(spec(arch, 'tcg'));
  expect(args).toEqual(expect.arrayContaining(['-nodefaults', '-no-user-config', '-no-reboot']));
  expect(values(args, '-nic')).toEqual(['none']);
  expect(values(args, '-display')).toEqual(['none']);
  expect(values(args, '-sandbox')[0]).toContain('spawn=deny');
  expect(args).not.toContain('-netdev');
  expect(vmArgs({ ...spec(arch, 'tcg'), sandbox: false })).not.toContain('-sandbox');
});

test('file names cannot become QEMU options', () => {
  const args = vmArgs(spec('x86_64', 'tcg'));
  const nodes = values(args, '-blockdev').map((node) => JSON.parse(node));
  expect(nodes[0]).toMatchObject({
    'read-only': true,
    file: { filename: '/isos/live,readonly=off.iso', 'read-only': true },
  });
  expect(nodes[1]).toMatchObject({ driver: 'raw', file: { driver: 'file' } });
  expect(nodes[1].file.filename).toBe('/out/m,driver=host_device.raw');
  expect(values(args, '-chardev')).toContain('socket,id=qmp,path=/t/q,,x.sock');
});

test('disks carry their serial number, their sector size and stop the guest on write errors', () => {
  const [, , metal, metal4k] = values(vmArgs(spec('s390x', 'tcg')), '-device');
  expect(metal).toBe(
    'virtio-blk-ccw,id=rehydrate-metal,drive=rehydrate-metal,serial=rehydrate-metal,' +
      'logical_block_size=512,physical_block_size=512,werror=stop,rerror=report',
  );
  expect(metal4k).toContain('logical_block_size=4096,physical_block_size=4096');
  const long = {
    ...spec('x86_64', 'tcg'),
    disks: [{ id: 'x'.repeat(21), path: '/o', sectorSize: 512 }],
  };
  expect(() => vmArgs(long)).toThrow('too long');
});

test("the ISO's own kernel arguments stay, ours follow", () => {
  const line = kernelCommandLine(
    ' coreos.liveiso=fedora-42 ignition.firstboot \n',
    PROFILES.x86_64,
    'tcg',
  );
  expect(line).toMatch(/^coreos\.liveiso=fedora-42 ignition\.firstboot panic=-1 /);
});

test('the console is on a terminal of ours, or on one that QEMU makes before the guest starts', () => {
  expect(values(vmArgs(spec('x86_64', 'tcg')), '-chardev')).toContain(
    'stdio,id=console,signal=off',
  );
  const own = vmArgs({ ...spec('x86_64', 'tcg'), console: 'pty' });
  expect(values(own, '-chardev')).toContain('pty,id=console');
  expect(own).toContain('-S');
});
