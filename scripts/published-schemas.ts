import { toJsonSchema } from '@valibot/to-json-schema';
import { eventSchema } from '../src/cli/progress/events.ts';
import { auditReportSchema } from '../src/verbs/audit/report.ts';
import { estimateSchema } from '../src/verbs/estimate/estimate.ts';
import { planSchema } from '../src/verbs/plan/plan.ts';

type Schema = Parameters<typeof toJsonSchema>[0];

/** JSON Schemas of what the program prints for machines, by the names of their files. */
export function publishedSchemas(): Record<string, object> {
  return {
    'audit-report': publish('iso-rehydrate audit report', auditReportSchema),
    events: publish('a line that iso-rehydrate --json writes to stderr', eventSchema),
    estimate: publish('iso-rehydrate estimate', estimateSchema),
    plan: publish('iso-rehydrate work plan', planSchema),
  };
}

/** Describes the input of each schema: branded types are internal to the program. */
function publish(title: string, schema: Schema): object {
  const { $schema: _draft, ...body } = toJsonSchema(schema, {
    typeMode: 'input',
    errorMode: 'ignore',
  });
  return { $schema: 'http://json-schema.org/draft-07/schema#', title, ...body };
}
