import type { AuditedArtifact, AuditReport } from '../report.ts';
import { type Markup, markup } from './escape.ts';

/**
 * JUnit XML as CI systems read it: a suite per architecture, a case per artifact. BAD is a failure,
 * FAIL an error, UNCOVERED skipped.
 */
export function renderJunit({ architectures, counts, started }: AuditReport): string {
  const suites = architectures.map(({ architecture, artifacts, seconds }) => {
    const count = (status: AuditedArtifact['status']) =>
      artifacts.filter((artifact) => artifact.status === status).length;
    const cases = artifacts.map((artifact) => caseOf(architecture, artifact));
    return markup`  <testsuite name="${architecture}" tests="${artifacts.length}" failures="${count('BAD')}" errors="${count('FAIL')}" skipped="${count('UNCOVERED')}" time="${seconds.toFixed(3)}" timestamp="${started}">
${cases}  </testsuite>
`;
  });
  const tests = Object.values(counts).reduce((sum, n) => sum + n, 0);
  const { BAD, FAIL, UNCOVERED } = counts;
  return markup`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="iso-rehydrate audit" tests="${tests}" failures="${BAD}" errors="${FAIL}" skipped="${UNCOVERED}">
${suites}</testsuites>
`.markup;
}

function caseOf(architecture: string, artifact: AuditedArtifact): Markup {
  const { label, status, seconds, error } = artifact;
  const [first = status] = (error?.message ?? '').split('\n', 1);
  const text = detailsOf(artifact);
  const outcome = {
    GOOD: markup``,
    BAD: markup`\n      <failure type="${error?.code}" message="${first}">${text}</failure>\n    `,
    FAIL: markup`\n      <error type="${error?.code}" message="${first}">${text}</error>\n    `,
    UNCOVERED: markup`\n      <skipped message="${first}"/>\n    `,
  }[status];
  return markup`    <testcase classname="iso-rehydrate.${architecture}" name="${label}" time="${seconds.toFixed(3)}">${outcome}</testcase>
`;
}

/** The details of an artifact that is not GOOD, in lines. */
export function detailsOf({ error, sha256, found, difference, diffoscope }: AuditedArtifact) {
  const lines = [error?.message ?? '', ...(error?.causes ?? []).map((cause) => `cause: ${cause}`)];
  if (sha256) lines.push(`promised: ${sha256}`);
  if (found) lines.push(`found:    ${found.sha256}, ${found.size} bytes`);
  if (difference) {
    const { bytes, firstOffset, region, ourSize, releasedSize } = difference;
    const told = bytes === 1 ? '1 byte differs,' : `${bytes} bytes differ, the first`;
    lines.push(`${told} at offset ${firstOffset}: ${region}`);
    if (ourSize !== releasedSize) lines.push(`sizes: ours ${ourSize}, released ${releasedSize}`);
    for (const { start, end, words } of difference.regions)
      lines.push(`  ${start}-${end}: ${words}`);
  }
  if (diffoscope) lines.push(`look closer: ${diffoscope}`);
  if (error?.hint) lines.push(`fix: ${error.hint}`);
  return lines.join('\n');
}
