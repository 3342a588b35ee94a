import { shardText } from '../../bundle/shard.ts';
import { ARCHITECTURES, type Arch } from '../../core/arch.ts';
import { IntegrityError, UsageError } from '../../core/errors.ts';
import { canonicalJson } from '../../core/json/canonical.ts';
import { idText } from '../../release/stream/artifacts.ts';
import type { AuditedArchitecture, AuditReport } from './report.ts';
import { countStatuses, worstOf } from './verdict.ts';

/** A report and where it came from, for messages. */
export interface NamedReport {
  readonly source: string;
  readonly report: AuditReport;
}

/**
 * Merges the reports of an audit's shards without checking them: `parts.ts` proves them. Throws UsageError
 * `AUDIT_INCOMPLETE` if a shard is missing, `AUDIT_TWICE` for a shard or an artifact that occurs twice,
 * `AUDIT_REQUESTS` if the shards differ in their options, IntegrityError `AUDIT_BUNDLES` if they are of
 * different bundles.
 */
export function mergeReports(reports: readonly NamedReport[]): AuditReport {
  const [first, ...others] = reports;
  if (first === undefined) {
    throw new UsageError('there are no reports to merge', {
      code: 'AUDIT_INCOMPLETE',
      hint: 'name the report folders of all shards',
    });
  }
  for (const { source, report } of others) refuseOther(first, source, report);
  refuseMissing(reports);
  const architectures = ARCHITECTURES.flatMap((arch) => mergeArch(arch, reports));
  const counts = countStatuses(architectures);
  const { shard: _one, ...request } = first.report.request;
  const all = reports.map(({ report }) => report);
  return {
    ...first.report,
    request,
    tools: mergeTools(all),
    started: all.map(({ started }) => started).sort()[0] ?? first.report.started,
    finished:
      all
        .map(({ finished }) => finished)
        .sort()
        .at(-1) ?? first.report.finished,
    counts,
    verdict: worstOf(counts),
    architectures,
  };
}

function refuseOther(first: NamedReport, source: string, report: AuditReport): void {
  if (report.bundle.index !== first.report.bundle.index) {
    throw new IntegrityError(`${source} audits a different bundle from ${first.source}`, {
      code: 'AUDIT_BUNDLES',
      context: { expected: first.report.bundle.index, found: report.bundle.index },
      hint: 'merge reports of one bundle only',
    });
  }
  const asked = ({ request: { shard: _one, ...request } }: AuditReport) =>
    canonicalJson(request).toString();
  if (asked(report) === asked(first.report)) return;
  throw new UsageError(`${source} answers a different request from ${first.source}`, {
    code: 'AUDIT_REQUESTS',
    context: { expected: asked(first.report), found: asked(report) },
    hint: 'give each shard the same options: --engine, --arch, --platform, --format, --released, --keyring, --trust',
  });
}

function refuseMissing(reports: readonly NamedReport[]): void {
  const shards = reports.map(({ report }) => report.request.shard ?? { index: 1, of: 1 });
  const of = shards[0]?.of ?? 1;
  const odd = shards.findIndex((shard) => shard.of !== of);
  const wanted = Array.from({ length: of }, (_, i) => i + 1);
  const missing = wanted.filter((index) => !shards.some((shard) => shard.index === index));
  const twice = shards.find((shard, i) =>
    shards.some((other, j) => j < i && other.index === shard.index && other.of === shard.of),
  );
  if (twice) {
    throw new UsageError(`shard ${shardText(twice)} is given twice`, {
      code: 'AUDIT_TWICE',
      hint: 'name the folder of each shard once',
    });
  }
  if (odd === -1 && missing.length === 0) return;
  const names = missing.map((index) => shardText({ index, of }));
  throw new UsageError(
    odd === -1
      ? `reports are missing: ${names.join(', ')}`
      : `${reports[odd]?.source} is one of ${shards[odd]?.of} shards, others of ${of}`,
    {
      code: 'AUDIT_INCOMPLETE',
      hint: 'audit the missing shards, and name the folders of all shards',
    },
  );
}

function mergeArch(arch: Arch, reports: readonly NamedReport[]): AuditedArchitecture[] {
  const parts = reports.flatMap(({ source, report }) =>
    report.architectures
      .filter(({ architecture }) => architecture === arch)
      .map((part) => ({ source, part })),
  );
  const [first] = parts;
  if (first === undefined) return [];
  const seen = new Map<string, string>();
  for (const { source, part } of parts) {
    for (const artifact of part.artifacts) {
      const id = idText(artifact);
      const other = seen.get(id);
      if (other !== undefined) {
        throw new UsageError(`${arch} ${id} is in ${other} and in ${source}`, {
          code: 'AUDIT_TWICE',
          hint: 'name the folder of each shard once',
        });
      }
      seen.set(id, source);
    }
  }
  const all = parts.map(({ part }) => part);
  const engine = all.find((part) => part.engine)?.engine;
  const disks = new Map(all.flatMap((part) => part.disks.map((disk) => [disk.base, disk])));
  const leftOut = all.flatMap((part) => part.leftOut ?? []);
  return [
    {
      ...first.part,
      ...(leftOut.length > 0 ? { leftOut } : {}),
      disks: [...disks.values()],
      ...(engine ? { engine } : {}),
      seconds: all.reduce((sum, { seconds }) => sum + seconds, 0),
      artifacts: all.flatMap(({ artifacts }) => artifacts),
    },
  ];
}

/** If shards ran with different versions, all of them are listed. */
function mergeTools(reports: readonly AuditReport[]): Record<string, string> {
  const tools = new Map<string, Set<string>>();
  for (const { tools: found } of reports) {
    for (const [name, version] of Object.entries(found)) {
      tools.set(name, (tools.get(name) ?? new Set()).add(version));
    }
  }
  return Object.fromEntries(
    [...tools].map(([name, versions]) => [name, [...versions].join('; ').slice(0, 256)]),
  );
}
