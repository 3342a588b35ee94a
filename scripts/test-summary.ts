/** Prints vitest's JSON report as one line. A skipped test counts as a failure in CI. */
import { readFileSync } from 'node:fs';
import * as v from 'valibot';

const Report = v.object({
  numPassedTests: v.number(),
  numFailedTests: v.number(),
  numFailedTestSuites: v.number(),
  numPendingTests: v.number(),
  numTodoTests: v.number(),
  testResults: v.array(
    v.object({
      name: v.string(),
      status: v.string(),
      message: v.optional(v.string()),
      assertionResults: v.array(v.object({ fullName: v.string(), status: v.string() })),
    }),
  ),
});

const [path = ''] = process.argv.slice(2);
const report = v.parse(Report, JSON.parse(readFileSync(path, 'utf8')));
const skipped = report.numPendingTests + report.numTodoTests;
// A file that fails before its first test (import, hook) has no failed test of its own.
const broken = report.testResults.filter(
  (file) => file.status === 'failed' && !file.assertionResults.some((t) => t.status === 'failed'),
);
const failed = report.numFailedTests + broken.length;

for (const file of report.testResults) {
  for (const test of file.assertionResults) {
    if (test.status !== 'passed') console.log(`${test.status}: ${file.name} > ${test.fullName}`);
  }
}
for (const file of broken) console.log(`failed: ${file.name}: ${file.message ?? 'no test ran'}`);
console.log(`${report.numPassedTests} passed, ${failed} failed, ${skipped} skipped`);
if (failed > 0 || report.numPassedTests === 0 || (process.env.CI && skipped > 0)) process.exit(1);
