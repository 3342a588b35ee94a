import { gradeOf, type Trust } from '../../bundle/trust.ts';
import type { AuditReport } from './report.ts';

type TrustRecord = NonNullable<AuditReport['request']['trust']>;

/** The trust settings of an audit, as data. */
export function trustRecord(trust: Trust): TrustRecord {
  const { streams, expected, verifiedBy, policy } = trust;
  return {
    grade: gradeOf(trust),
    streams: streams.map(({ name, sha256 }) => ({ name, sha256 })),
    ...(expected === undefined ? {} : { expected }),
    ...(verifiedBy === undefined ? {} : { verifiedBy }),
    ...(policy === undefined ? {} : { policy: { ...policy } }),
  };
}

/** Says in words who vouches for the digests that an audit compares with. */
export function trustWords(record: TrustRecord | undefined): string {
  if (record === undefined || record.grade === 'bundle') return 'by the bundle itself';
  const { streams, verifiedBy, expected, policy } = record;
  const all = [
    ...streams.map(({ name, sha256 }) => `by ${name} (sha256:${sha256})`),
    ...(verifiedBy === undefined ? [] : [`by a signature that ${verifiedBy} verified`]),
    ...(expected === undefined ? [] : [`by the expected index (sha256:${expected})`]),
  ];
  return `${all.join(', ')}${policy ? `; policy ${policy.path} (sha256:${policy.sha256})` : ''}`;
}
