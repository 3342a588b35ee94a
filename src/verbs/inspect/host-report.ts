import { availableParallelism, totalmem } from 'node:os';
import { arch, availableMemory, version } from 'node:process';
import { formatBytes } from '../../core/text/bytes.ts';
import { type Column, renderTable } from '../../core/text/table.ts';
import { inspectQemuHost, type QemuHost, type QemuOnHost } from '../../engine/qemu/host.ts';

/** What this host offers to both engines. */
export interface HostReport extends QemuHost {
  /** As Node spells it: `x64`. */
  readonly architecture: string;
  readonly node: string;
  readonly processors: number;
  /** Bytes. */
  readonly memory: { readonly total: number; readonly available: number };
}

export async function inspectHost(): Promise<HostReport> {
  return {
    architecture: arch,
    node: version,
    processors: availableParallelism(),
    memory: { total: totalmem(), available: availableMemory() },
    ...(await inspectQemuHost()),
  };
}

const COLUMNS: readonly Column<QemuOnHost>[] = [
  { title: 'GUEST', cell: ({ architecture }) => architecture },
  { title: 'QEMU', cell: ({ version = 'none' }) => version },
  { title: 'SECCOMP', cell: ({ seccomp }) => (seccomp ? 'yes' : 'no') },
  { title: 'PROBLEM', cell: ({ problem = '' }) => problem },
];

export function renderHostReport(report: HostReport): string {
  const { architecture, node, processors, memory, kvmProblem, qemus, isolation } = report;
  const { setpriv, unshare } = isolation;
  return [
    `host: ${architecture}, Node ${node}, processors: ${processors}, memory: ${formatBytes(memory.total)} (${formatBytes(memory.available)} available)`,
    `KVM: ${kvmProblem ?? 'its device opens; guests of this architecture use it'}`,
    '',
    renderTable(COLUMNS, qemus).trimEnd(),
    '',
    'What confines QEMU here, besides having no network device:',
    `  network      ${unshare.length > 0 ? `none at all, not even loopback (${unshare.join(' ')})` : 'the host’s: unshare --net is denied or missing'}`,
    '  resources    kernel limits on memory, file size and processor time',
    `  lifetime     ${setpriv ? 'killed with this program by the kernel (setpriv)' : 'ends with its terminal: setpriv is missing'}`,
    '',
    '--engine native needs none of this.',
    '',
  ].join('\n');
}
